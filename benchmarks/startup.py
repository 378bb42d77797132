"""Wall seconds of commands that load no model, against what a bare interpreter and the imports of peers take.

    python benchmarks/startup.py

The commands take turns, ``--rounds`` times after one that warms the disk; medians, with the least and the most.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path


def commands() -> dict[str, list[str]]:
    r1 = shutil.which("r1", path=str(Path(sys.executable).parent)) or "r1"
    python = sys.executable
    return {
        "python -c pass": [python, "-c", "pass"],
        "r1 --help": [r1, "--help"],
        "r1 check nano-zero": [r1, "check", "nano-zero"],
        "r1 check smollm2-zero": [r1, "check", "smollm2-zero"],
        "r1 recipes": [r1, "recipes"],
        "r1 plan nano-zero": [r1, "plan", "nano-zero"],
        "import torch": [python, "-c", "import torch"],
        "from trl import GRPOTrainer": [python, "-c", "from trl import GRPOTrainer"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    taken: dict[str, list[float]] = {name: [] for name in commands()}
    for repeat in range(rounds + 1):
        for name, command in commands().items():
            start = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            if repeat:
                taken[name].append(time.perf_counter() - start)
    print("| command | s, median | least to most |\n|---|---|---|")
    for name, values in taken.items():
        print(f"| `{name}` | {statistics.median(values):.2f} | {min(values):.2f} to {max(values):.2f} |")


if __name__ == "__main__":
    main()
