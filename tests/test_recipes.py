"""Every TOML that ships is loaded, checked and written back."""

from __future__ import annotations

from pathlib import Path

import pytest

from r1kit import stages
from r1kit.checks import check_recipe
from r1kit.errors import MissingError
from r1kit.recipe import RECIPES, as_toml, load_recipe, shipped_recipes

NAMES = sorted(shipped_recipes())


def test_recipes_are_found() -> None:
    assert "nano-zero" in NAMES
    assert {path.stem for path in RECIPES.glob("*.toml")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_it_resolves(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name, "a recipe is called what its file is called"
    assert recipe.summary
    assert recipe.hardware
    assert recipe.time
    assert set(recipe.stages) <= set(stages.STAGES)
    try:
        check_recipe(recipe)
    except MissingError:  # a package that this machine lacks; the recipe itself is right
        pytest.skip("its model's package is not here")


@pytest.mark.parametrize("name", NAMES)
def test_the_resolved_copy_reads_back_as_the_same_recipe(name: str, tmp_path: Path) -> None:
    recipe = load_recipe(name)
    copy = tmp_path / "recipe.toml"
    copy.write_text(as_toml(recipe))
    assert load_recipe(str(copy)) == recipe


@pytest.mark.parametrize("name", NAMES)
def test_its_readme_speaks_of_it(name: str) -> None:
    assert f"## {name}\n" in (RECIPES / "README.md").read_text()
