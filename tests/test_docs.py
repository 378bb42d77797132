"""The docs say what is there: files and functions of the paper map, every metric, the README's commands and tree."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from r1kit.cli import app
from r1kit.evals.evaluate import evaluate
from r1kit.evals.gate import base_gate
from r1kit.loops.transcripts import evaluation_lines, rollout_lines, summary
from r1kit.maths.loss_terms import LossTerms
from r1kit.maths.policy_loss import from_settings
from r1kit.maths.settings import PAPER
from r1kit.records import Completion, Group, Prompt, Score
from r1kit.update.local import Sums

ROOT = Path(__file__).resolve().parent.parent
METRICS = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
PLACE = re.compile(r"`(r1kit/[\w/]+\.py)`((?:: |, )(?:`\w+`(?: \(`[\w-]+`\))?(?:, )?)+)?")


def places() -> Iterator[tuple[str, str]]:
    """(file, name) of everything that the paper map points at."""
    for file, names in PLACE.findall((ROOT / "docs" / "paper_map.md").read_text(encoding="utf-8")):
        without_settings = re.sub(r" \(`[\w-]+`\)", "", names)
        for name in re.findall(r"`(\w+)`", without_settings):
            yield file, name


def defined(file: Path) -> set[str]:
    """Names that a module defines at its top."""
    found = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.add(node.name)
        if not isinstance(node, (ast.Assign, ast.AnnAssign)):
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return found


def test_the_paper_map_points_somewhere() -> None:
    found = list(places())
    assert len(found) > 25
    wrong = [place for place in found if not (ROOT / place[0]).is_file() or place[1] not in defined(ROOT / place[0])]
    assert wrong == []


def groups_and_scores() -> tuple[list[Group], list[list[Score]]]:
    completion = Completion(token_ids=(1, 2), logprobs=(-0.1, -0.2), text="wait yes", finish="stop")
    prompt = Prompt(id="t/test/0", task="t", question="?", answer="1")
    group = Group(prompt=prompt, prompt_ids=(3,), completions=(completion, completion))
    parts = {"accuracy": 1.0, "format": 0.0, "language": 1.0, "overlong": 0.0}
    return [group], [[Score(total=1.0, parts=parts, answer="1"), Score(total=0.0, parts=parts)]]


def metric_names() -> set[str]:
    """What the code writes, asked of the code."""
    groups, scores = groups_and_scores()
    diagnostics = [[{"tries": 1.0, "claims_hit": 1.0, "answer_right": 1.0, "valid_numbers": 1.0}] * 2]
    advantages = [torch.tensor([0.5, -0.5])]
    tokens = torch.zeros(2)
    terms = LossTerms(
        logprobs=tokens, old_logprobs=tokens, sampler_logprobs=tokens, reference_logprobs=tokens, advantages=tokens,
        row_ids=torch.tensor([0, 0]),
    )  # fmt: skip
    gate = base_gate(groups, scores, diagnostics).as_json()
    return {
        *evaluate(groups, scores, diagnostics, (10,)),
        *summary(groups, scores, advantages),
        *rollout_lines(1, groups, scores, advantages, 1)[0],
        *evaluation_lines(1, groups, scores, 1, 1)[0],
        *from_settings(PAPER)(terms)[1],
        *Sums().totals,
        *gate,
        *gate["measures"],
    }


def written_in(*files: str) -> set[str]:
    """Keys of the dictionaries that a loop logs, and names that it stores into its metrics."""
    found: set[str] = set()
    for file in files:
        for node in ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8"))):
            logs = isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("workspace.log", "self.append"))
            if logs:
                for each in ast.walk(node):
                    if isinstance(each, ast.Dict):
                        found |= {str(key.value) for key in each.keys if isinstance(key, ast.Constant)}
            if isinstance(node, ast.Subscript) and ast.unparse(node.value) in ("metrics", "self.largest"):
                found |= {str(node.slice.value)} if isinstance(node.slice, ast.Constant) else set()
    return found


def test_every_metric_is_explained() -> None:
    loops = ("r1kit/loops/rl.py", "r1kit/loops/supervised.py", "r1kit/loops/judge.py", "r1kit/workspace.py")
    logged = written_in(*loops, "r1kit/update/local.py")
    assert {"lr", "update_seconds", "tokens_per_second", "step", "seconds", "grad_norm", "ratio_max"} <= logged
    names = metric_names() | logged | {"sample_seconds", "score_seconds", "pass_interval"}
    assert sorted(name for name in names if f"`{name}`" not in METRICS) == []


def test_every_metric_that_is_explained_is_written() -> None:
    section = METRICS.split("## `metrics.jsonl`")[1].split("## `eval.jsonl`")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    explained = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    files = [*(ROOT / "r1kit/loops").glob("*.py"), *(ROOT / "r1kit/factory").glob("*.py")]
    files += [ROOT / "r1kit" / name for name in ("update/local.py", "update/reward.py", "maths/policy_loss.py")]
    files += [ROOT / "r1kit" / name for name in ("reward/rule.py", "workspace.py")]
    sources = "".join(file.read_text() for file in files)
    assert sorted(name for name in explained if f'"{name}"' not in sources) == []


def test_the_readme_s_commands_exist() -> None:
    known = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    shown = set(re.findall(r"^r1 ([\w-]+)", README, re.MULTILINE))
    assert shown == known


@pytest.mark.parametrize("command", ["make demo", "make test"])
def test_the_readme_s_make_targets_exist(command: str) -> None:
    assert command in README
    assert re.search(rf"^{command.split()[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_the_readme_s_tree_is_the_tree() -> None:
    tree = README.split("## The tree")[1].split("```")[1]
    inside = set(re.findall(r"^  ([\w.]+?)/? {2,}", tree, re.MULTILINE))
    there = {path.name for path in (ROOT / "r1kit").iterdir() if path.suffix == ".py" or path.is_dir()}
    beside = {"apart.py", "commands", "checks.py", "structure.py"}  # named in another one's line
    assert inside == there - beside - {"__init__.py", "__main__.py", "__pycache__"}
