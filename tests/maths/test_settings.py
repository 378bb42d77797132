from __future__ import annotations

import subprocess
import sys

from r1kit.maths.settings import MODERN, PAPER


def test_presets_say_what_the_papers_say() -> None:
    assert (PAPER.clip_low, PAPER.clip_high, PAPER.kl_weight, PAPER.aggregate) == (10, 10, 0.001, "sequence-mean")
    assert (MODERN.clip_low, MODERN.clip_high, MODERN.kl_weight, MODERN.aggregate) == (0.2, 0.28, 0, "token-mean")


def test_settings_come_without_torch() -> None:
    code = "import r1kit.maths.settings, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
