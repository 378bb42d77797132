"""An engine of the user's own: what it gives that is no completion, and what it raises, is one line."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from r1kit.backends.models import draw_model
from r1kit.backends.opening import open_from, open_here
from r1kit.backends.own_engine import looked_at
from r1kit.cluster.ranks import Solo
from r1kit.cluster.settings import EngineChoice
from r1kit.errors import InputError, R1Error
from r1kit.faults import users_told
from r1kit.interrupts import Stopped
from r1kit.model.skeleton import pack
from r1kit.recipe import load_recipe
from r1kit.records import Completion, Sampling
from r1kit.registry import find
from r1kit.text.tokenizer import build_tokenizer
from r1kit.users_code import PLACES

GOOD = Completion(token_ids=(3, 0), logprobs=(-0.5, -1.0), text="a", finish="stop", version=2)


class Fake:
    def __init__(self, found: Any) -> None:
        self.found = found

    def generate(self, prompts: Any, sampling: Sampling, seeds: Any) -> Any:
        return self.found

    def generate_each(self, prompts: Any, sampling: Sampling, seeds: Any, ended: Any) -> None:
        for place, group in enumerate(self.found):
            ended(place, group)


def given(found: Any, each: bool = False) -> list[Any]:
    """What comes through of one prompt's two completions."""
    engine: Any = looked_at(Fake(found), "my.py:Fake", 4)  # type: ignore[arg-type]
    told: list[Any] = []
    arguments = ([[1]], Sampling(n=2, max_tokens=2), [7])
    if each:
        engine.generate_each(*arguments, lambda place, group: told.append(group))
        return told
    return list(engine.generate(*arguments))


@pytest.mark.parametrize("each", [False, True])
def test_what_is_right_comes_through(each: bool) -> None:
    assert given([(GOOD, GOOD)], each) == [(GOOD, GOOD)]


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (None, "NoneType for 1 prompts"),
        ([], "0 for 1 prompts"),
        ([(GOOD,)], r"1 for the completions of a prompt; sampling\.n = 2 of them are due"),
        ([({"text": "a"}, GOOD)], r"a completion of type dict; it must be an r1kit\.Completion"),
        *(
            ([(GOOD, replace(GOOD, **wrong))], f"a completion {message}")
            for wrong, message in (
                ({"token_ids": (3, 4)}, "with token 4; the model has 4"),
                ({"token_ids": (-1, 0)}, "with token -1; the model has 4"),
                ({"token_ids": ("a", 0)}, "whose token_ids are no tuple of int"),
                ({"logprobs": (-0.5,)}, "with 1 logprobs for 2 tokens"),
                ({"logprobs": (-0.5, math.nan)}, "whose logprobs are no finite numbers"),
                ({"text": None}, "whose text is None"),
                ({"finish": "eos"}, "with finish = 'eos'; allowed are 'stop', 'length'"),
                ({"version": None}, "with version = None"),
            )
        ),
    ],
)
def test_what_is_wrong_is_a_line(found: Any, message: str) -> None:
    with pytest.raises(R1Error, match=rf"^my\.py:Fake\.generate gave {message}"):
        given(found)
    if found:
        with pytest.raises(R1Error, match=r"^my\.py:Fake\.generate_each gave "):
            given(found, each=True)


class Slots:
    __slots__ = ("found",)
    __init__, generate, generate_each = Fake.__init__, Fake.generate, Fake.generate_each


@dataclass(frozen=True)
class Frozen:
    found: Any

    def generate(self, prompts: Any, sampling: Sampling, seeds: Any) -> Any:
        return self.found


def test_any_engine_can_be_looked_at_and_one_that_is_given_out_again_once() -> None:
    """A server's engine serves one stage after the other, whose models may differ."""
    for kind in (Fake, Slots, Frozen, lambda found: SimpleNamespace(generate=partial(Fake.generate, Frozen(found)))):
        engine: Any = kind([(GOOD,)])
        sampling = Sampling(n=1, max_tokens=2)
        for vocabulary in (3, 3, 4):
            looked_at(engine, "my.py:Fake", vocabulary)
        assert engine.generate([[1]], sampling, [7]) == [(GOOD,)]
        looked_at(engine, "my.py:Fake", 3)
        with pytest.raises(R1Error, match="with token 3; the model has 3"):
            engine.generate([[1]], sampling, [7])


CODE = """import json, sys
def parsed(text): return json.loads(text)
def leave(code): sys.exit(code)
def back(call): return call()
"""


@pytest.mark.parametrize("folder", ["site-packages/theirs", "."])
def test_what_a_users_package_raises_is_told_by_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    """Installed, or beside other modules."""
    monkeypatch.setenv(PLACES, "")
    module = f"r1kit_test_{len(folder)}"
    (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    (tmp_path / folder / f"{module}.py").write_text(CODE)
    monkeypatch.syspath_prepend(tmp_path / folder.partition("/")[0])
    package = "theirs." if "/" in folder else ""
    parsed, back = (find(f"{package}{module}:{name}", {}, "thing") for name in ("parsed", "back"))
    with pytest.raises(R1Error, match=rf"^rl: {module}\.py:2: JSONDecodeError: Expecting value"), users_told("rl"):
        parsed("")
    with pytest.raises(TypeError), users_told("rl"):
        back(lambda: find("", None, ""))  # type: ignore[arg-type]


def test_what_a_users_code_raises_is_told_by_its_line_and_what_ours_does_is_not(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(CODE)
    parsed, leave, back = (find(f"{tmp_path}/mine.py:{name}", {}, "thing") for name in ("parsed", "leave", "back"))
    with pytest.raises(R1Error, match=r"^rl: mine\.py:2: JSONDecodeError: Expecting value"), users_told("rl"):
        parsed("")
    with pytest.raises(R1Error, match=r"^rl: mine\.py:3: SystemExit: 0$"), users_told("rl"):
        leave(0)  # or the run would end as if it were done
    with pytest.raises(InputError, match=r"^it is ours$"), users_told("rl"):
        back(lambda: (_ for _ in ()).throw(InputError("it is ours")))
    with pytest.raises(TypeError), users_told("rl"):
        back(lambda: find("", None, ""))  # type: ignore[arg-type]
    with pytest.raises(Stopped), users_told("rl"):  # a signal
        back(lambda: (_ for _ in ()).throw(Stopped))
    with pytest.raises(R1Error, match=r"^rl: mine\.py:4: KeyboardInterrupt$"), users_told("rl"):  # nobody's signal
        back(lambda: (_ for _ in ()).throw(KeyboardInterrupt))


READS = """
from safetensors.torch import load_file


class Reads:
    def __init__(self, loaded, *, dtype, max_rows):
        self.folder, self.read = loaded.folder, load_file(loaded.folder / "model.safetensors")

    def generate(self, prompts, sampling, seeds):
        return []
"""


def test_a_model_without_a_folder_has_one_while_a_users_engine_opens(tmp_path: Path) -> None:
    """One drawn afresh; one of which a helper was sent everything but a folder that it can see."""
    (tmp_path / "reads.py").write_text(READS)
    choice, cpu = EngineChoice(kind=f"{tmp_path}/reads.py:Reads"), torch.device("cpu")
    shape = load_recipe("nano-zero", ["model.num_layers=1"]).model
    loaded = draw_model(shape, build_tokenizer(["a", "b"]), 1, cpu)
    engine: Any = open_here(loaded, choice, torch.float32, 4, Solo())
    assert all(torch.equal(engine.read[name], weight) for name, weight in loaded.weights)
    assert not engine.folder.exists()
    payload = pack((choice, torch.float32, 4, "cpu", loaded.bare(), tmp_path / "elsewhere"))
    beside: Any = open_from(payload)
    assert {*beside.read} == {*engine.read}
    loaded.save(tmp_path / "here")
    seen: Any = open_from(pack((choice, torch.float32, 4, "cpu", loaded.bare(), tmp_path / "here")))
    assert seen.folder == tmp_path / "here"
