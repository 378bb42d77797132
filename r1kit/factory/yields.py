"""What each check of a collection left, read off its log."""

from __future__ import annotations

from r1kit.workspace import Workspace

__all__ = ["yields"]


def yields(workspace: Workspace) -> tuple[dict[str, dict[str, int]], dict[str, int]]:
    """By route: check -> completions left after it; and what the generative judge did in all."""
    left: dict[str, dict[str, int]] = {}
    judge: dict[str, int] = {}
    for line in workspace.read("metrics"):
        route = left.setdefault(line["route"], {})
        for name, count in line["left"].items():
            route[name] = route.get(name, 0) + count
        for name in ("judge_asked", "judge_no_json", "judge_left_out"):
            if name in line:
                judge[name] = judge.get(name, 0) + int(line[name])
    return left, judge
