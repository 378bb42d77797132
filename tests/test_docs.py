"""The docs say what is there: files and functions of the paper map, the README's commands and tree."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from r1kit.checks import check_stages
from r1kit.cli import app
from r1kit.recipe import load_recipe
from r1kit.registry import find
from r1kit.report.read.explained import explain, explanations

ROOT = Path(__file__).resolve().parent.parent
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


def test_the_readme_s_commands_exist() -> None:
    known = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    shown = set(re.findall(r"^r1 ([\w-]+)", README, re.MULTILINE))
    assert shown == known


@pytest.mark.parametrize("command", ["make demo", "make test"])
def test_the_readme_s_make_targets_exist(command: str) -> None:
    assert command in README
    assert re.search(rf"^{command.split()[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_the_readme_s_recipe_is_one(tmp_path: Path) -> None:
    """The six lines of the first screen, then with the reward of the second block."""
    six, parts = re.findall(r"^```toml\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    assert len(six.splitlines()) == 6
    (tmp_path / "problems.jsonl").write_text(
        "".join(f'{{"prompt": "{n} + 1?", "answer": {n + 1}}}\n' for n in range(40))
    )
    function = parts.split("# ")[1]
    (tmp_path / "my_rewards.py").write_text(function)
    (tmp_path / "mine.toml").write_text(six + parts)
    recipe = load_recipe(str(tmp_path / "mine.toml"))
    check_stages(recipe)
    assert recipe.stages["r1_zero"].steps == 200
    assert recipe.task("maths").train(0).answer is not None
    brevity = find(f"{tmp_path}/my_rewards.py:brevity", {}, "reward")
    assert [weight for name, weight in recipe.stages["r1_zero"].reward.parts.items()] == [1.0, 0.1]
    assert (brevity("", "x" * 500), brevity("", "x" * 5000)) == (0.75, 0.0)


def test_the_readme_s_tree_is_the_tree() -> None:
    tree = README.split("## The tree")[1].split("```")[1]
    inside = set(re.findall(r"^  ([\w.]+?)/? {2,}", tree, re.MULTILINE))
    there = {path.name for path in (ROOT / "r1kit").iterdir() if path.suffix == ".py" or path.is_dir()}
    beside = {"apart.py", "commands", "checks.py", "structure.py"}  # named in another one's line
    assert inside == there - beside - {"__init__.py", "__main__.py", "__pycache__"}


def test_what_the_dashboard_says_of_a_number_stands_in_the_docs() -> None:
    """Word for word, from the page that the wheel carries: every name of its tables has a meaning there."""
    page = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.+?) \|", page.split("## `gate")[0], re.MULTILINE))))
    told = explanations()
    assert named - set(told["metrics"]) - set(told["evals"]) == set()
    assert "| `entropy` | mean entropy of the policy's next-token distribution over those tokens, in nats |" in page
    assert explain("metrics", "entropy") == told["metrics"]["entropy"]
    assert (
        told["metrics"]["entropy"] == "mean entropy of the policy's next-token distribution over those tokens, in nats"
    )
    assert explain("metrics", "format").endswith(told["parts"]["format"])
    assert explain("metrics", "my.py:f_abstained") == "share of completions of which my.py:f said nothing"
    assert explain("metrics", "nothing") == ""
    assert '"docs/metrics.md" = "r1kit/_docs/metrics.md"' in (ROOT / "pyproject.toml").read_text()


def test_every_illness_is_explained() -> None:
    """``docs/pages.md`` names in its table what the doctor may find, and nothing else."""
    sources = (ROOT / "r1kit/report/read/illnesses").glob("*.py")
    code = "".join(path.read_text(encoding="utf-8") for path in sources)
    told = set(re.findall(r'(?:patient\.ill|_lost)\(\s*(?:patient,\s*)?f?"([^"]+)"', code))
    told = {*told, "dead engine", "dead verifier"} - {"dead {kind}"}
    table = (ROOT / "docs/pages.md").read_text(encoding="utf-8").split("## The doctor")[1].split("\n## ")[0]
    names = re.findall(r"^\| ([a-zA-Z, -]+) \|", table, re.MULTILINE)[1:]
    assert {name for cell in names for name in cell.split(", ")} == told
