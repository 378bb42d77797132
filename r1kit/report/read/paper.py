"""Numbers of the paper that the report sets beside a run's: DeepSeek-R1, arXiv 2501.12948, second version (v2).

Its model has 671 billion parameters and its benchmarks are other ones: what compares is the shape, not the size.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["DISTILLED", "DOMAINS", "STAGES", "STAGE_TABLE", "move", "written"]

STAGES = ("R1-Zero", "Dev1", "Dev2", "Dev3", "R1")

STAGE_TABLE: Mapping[str, tuple[float, ...]] = {
    "AIME 2024 pass@1": (77.9, 59.0, 74.0, 78.1, 79.8),
    "MATH-500": (95.9, 94.2, 95.9, 95.4, 97.3),
    "CNMO 2024": (88.1, 58.0, 73.9, 77.3, 78.8),
    "GPQA Diamond": (75.8, 66.1, 70.7, 71.2, 71.5),
    "LiveCodeBench": (50.0, 57.5, 63.5, 64.6, 65.9),
    "Codeforces rating": (1444, 1534, 1687, 1746, 2029),
    "SWE Verified": (43.2, 39.6, 44.6, 45.6, 49.2),
    "Aider-Polyglot": (12.2, 6.7, 25.6, 44.8, 53.3),
    "IF-Eval strict": (46.6, 71.7, 72.0, 78.1, 83.3),
    "AlpacaEval 2 LC": (24.7, 50.1, 55.8, 62.1, 87.6),
    "ArenaHard": (53.6, 77.0, 73.2, 75.6, 92.3),
}
"""Table 3 of v2, in the order of ``STAGES``; percent, but for the rating."""

DOMAINS: Mapping[str, tuple[int, float, float]] = {
    "math": (395_285, 6094.2, 1.0),
    "code": (211_129, 7435.7, 1.1),
    "STEM": (10_124, 4928.8, 1.0),
    "logic": (10_395, 2739.0, 1.0),
    "general": (177_812, 1419.8, 1.1),
    "total": (804_745, 5355.3, 1.0),
}
"""Table 5 of v2: samples, mean tokens and rounds of the 800k set."""

DISTILLED: Mapping[str, tuple[float, ...]] = {
    "QwQ-32B-Preview": (50.0, 60.0, 90.6, 54.5, 41.9),
    "Qwen-32B, RL on itself": (47.0, 60.0, 91.6, 55.0, 40.2),
    "R1-Distill-Qwen-32B": (72.6, 83.3, 94.3, 62.1, 57.2),
}
"""Table 6 of the first version: AIME 2024 pass@1 and cons@64, MATH-500, GPQA Diamond, LiveCodeBench."""


def move(metric: str, old: str, new: str) -> str:
    """``AIME 2024 pass@1 77.9 → 59.0``: what a metric of table 3 did between two stages."""
    row = STAGE_TABLE[metric]
    return f"{metric} {written(row[STAGES.index(old)])} → {written(row[STAGES.index(new)])}"


def written(value: float) -> str:
    """A percentage with its one decimal, a rating without."""
    return f"{value:.1f}" if value <= 100 else f"{value:.0f}"
