"""``report.html``: one file, read off the run folder, that opens offline and can fetch nothing.

A content security policy allows exactly two scripts, by their hash: plotly's and the page's own. Text from the run is
escaped as well, so a completion can neither run nor load anything.
"""

from __future__ import annotations

import base64
import hashlib
import os
from html import escape
from pathlib import Path

from plotly.offline import get_plotlyjs  # type: ignore[import-untyped]

from r1kit.report.assets import SCRIPT, STYLE
from r1kit.report.chain import chain_verdict
from r1kit.report.run_folder import RunFolder
from r1kit.report.sections import build

__all__ = ["page", "write_report"]


def write_report(path: Path, without_language: Path | None = None) -> Path:
    """Write ``DIR/report.html``, replacing an earlier one in one move; its path.

    Args:
        without_language: another run folder, whose reasoning RL was paid nothing for the language
            (``reasoning_rl.reward.language = 0``), to draw beside this one's.

    Raises:
        InputError: a path is no run folder.
    """
    run = RunFolder(path)
    without = None if without_language is None else RunFolder(without_language)
    target = run.path / "report.html"
    temporary = run.path / f".report.html.{os.getpid()}"
    try:
        temporary.write_text(page(run, without), encoding="utf-8")
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
    return target


def page(run: RunFolder, without: RunFolder | None = None) -> str:
    """The whole page as text."""
    found = build(run, without)
    links = "".join(f'<a href="#{escape(name)}">{escape(title)}</a>' for name, title, _ in found)
    about = "from base to R1" if run.is_chain else run.headline.title if run.headline else "run"
    title = f"{run.recipe_name}: {about}"
    scripts = (get_plotlyjs(), SCRIPT)
    seed = run.manifest.get("seed")
    kicker = f"recipe {run.recipe_name}" + (f" · seed {seed}" if seed is not None else "")
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{_policy(scripts)}">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><main><header>"
        f'<p class="kicker">{escape(kicker)}</p><h1>{escape(title)}</h1>'
        f'<p class="verdict">{escape(chain_verdict(run))}</p><nav>{links}</nav></header>'
        f"{''.join(body for _, _, body in found)}"
        "<footer>Read off the run folder by r1 report; every number comes from the files beside it.</footer>"
        f"</main>{''.join(f'<script>{script}</script>' for script in scripts)}</body></html>\n"
    )


def _policy(scripts: tuple[str, ...]) -> str:
    """No network at all; only these scripts run."""
    hashes = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{found}'" for found in hashes)
    return f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; font-src data:"
