"""`docs/simulated.svg`: step time and idle shares of `r1 plan --simulate` over the bound of staleness.

r1 plan r1-671b --gpus 512 --gpu h800 --mean-length 0.25 --simulate --lags 0,1,2,4,8 --json wait.json
r1 plan r1-671b ... --set 'r1_zero.over_update="keep"' --json keep.json
python benchmarks/simulated_chart.py wait.json keep.json docs/simulated.svg
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

WIDTH, HEIGHT, LEFT, BOTTOM = 760, 300, 60, 40
COLOURS = ("#4269d0", "#efb118")


def bars(scenarios: list[dict[str, float]], first: float, scale: float, title: str) -> list[str]:
    """A bar for each bound: its height is the step's seconds, its lower part the share in which the engines work."""
    drawn = [f'<text x="{first + 140}" y="20" text-anchor="middle">{title}</text>']
    for place, one in enumerate(scenarios):
        x, whole = first + 56 * place, one["step_seconds"] * scale
        busy = whole * (1 - max(0.0, one["engines_idle"]))
        base = HEIGHT - BOTTOM
        drawn += [
            f'<rect x="{x}" y="{base - busy:.1f}" width="36" height="{busy:.1f}" fill="{COLOURS[0]}"/>',
            f'<rect x="{x}" y="{base - whole:.1f}" width="36" height="{whole - busy:.1f}" fill="{COLOURS[1]}"/>',
            f'<text x="{x + 18}" y="{base - whole - 4:.1f}" text-anchor="middle">{one["step_seconds"]:.0f}</text>',
            f'<text x="{x + 18}" y="{base + 16}" text-anchor="middle">{one["name"].removeprefix("ahead by ")}</text>',
        ]
    return drawn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wait", type=Path)
    parser.add_argument("keep", type=Path)
    parser.add_argument("to", type=Path)
    given = parser.parse_args()
    found = [json.loads(path.read_text())["scenarios"] for path in (given.wait, given.keep)]
    scale = (HEIGHT - BOTTOM - 50) / max(one["step_seconds"] for scenarios in found for one in scenarios)
    legend = [
        f'<rect x="{LEFT + 380 * n}" y="{HEIGHT - 14}" width="10" height="10" fill="{COLOURS[n]}"/>'
        f'<text x="{LEFT + 380 * n + 16}" y="{HEIGHT - 5}">{words}</text>'
        for n, words in enumerate(("seconds in which engines decode", "seconds in which they wait"))
    ]
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="12" fill="currentColor" color="#555">',
        *bars(found[0], LEFT, scale, "weights wait for what was begun, by max_lag"),
        *bars(found[1], LEFT + 380, scale, "weights come in between, by max_lag"),
        *legend,
        "</svg>",
    ]
    given.to.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
