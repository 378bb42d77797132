"""Every end token ends a completion, is kept when the model is saved, and SFT teaches the one that the template writes.

The checkpoints' completions are known token by token (``scripted.py``); both engines run them.
"""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest
import torch

from r1kit.backends.backend import Backend
from r1kit.backends.models import LoadedModel
from r1kit.checkpoint.description import describe
from r1kit.contracts import Recipe
from r1kit.errors import InputError
from r1kit.loops.lessons import lessons
from r1kit.loops.settings import SFT
from r1kit.model import families
from r1kit.records import Completion, Sample, Sampling
from r1kit.text.ends import as_ids, end_sources
from r1kit.text.habits import end_of_turn
from r1kit.text.template import Template
from r1kit.update.settings import OptimiserSettings
from r1kit.workspace import Workspace
from tests.model.scripted import CASES, CHAT, Case, tokenizer, write

GOOD = "<think> plan</think><answer> 41</answer>"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scripted")
    for name in CASES:
        write(folder, name)
    return folder


def loaded(folder: Path, template: Template | None = None) -> LoadedModel:
    return Backend(device=torch.device("cpu"), template=template or Template()).load(str(folder))


def written(model: LoadedModel, temperature: float, stop: tuple[str, ...] = (), max_tokens: int = 16) -> Completion:
    sampling = Sampling(n=2, temperature=temperature, max_tokens=max_tokens, stop=stop)
    with closing(Backend(device=torch.device("cpu")).open_engine(model)) as engine:
        first, second = engine.generate([model.encode("1 + 1")], sampling, [7])[0]
    assert first.token_ids == second.token_ids
    return first


ENDS = {
    "plain": (4, 7),
    "two_ends": (5, 7),
    "two_ends_config_only": (5, 7),
    "end_of_generation_only": (5, 7),
    "end_of_config_number": (5, 7),
    "three_places": (5, 7),
    "no_named_end": (5, 7),
    "out_of_range": (5, 7),
    "turn_ends_otherwise": (4, 7),
    "no_pad": (4, 7),
    "pad_is_eos": (4, 7),
    "bos_twice": (4, 7),
    "unsavable": (4, 7),
}
"""Case -> the token that ends it, and the length."""


@pytest.mark.parametrize("engine", ["local", "transformers"])
@pytest.mark.parametrize("name", ENDS)
def test_a_completion_ends_at_any_of_the_ends(
    made: Path, name: str, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if engine == "transformers":
        monkeypatch.setattr(families, "FAMILIES", {"transformers": families.FAMILIES["transformers"]})
    model = loaded(made / name)
    assert model.native_engine == engine
    for temperature in (0.0, 1.0):
        found = written(model, temperature)
        assert (found.text, found.finish) == (GOOD, "stop")
        assert (found.token_ids[-1], len(found.token_ids)) == ENDS[name]


@pytest.mark.parametrize(
    ("name", "text", "finish"),
    [
        ("no_end", " blah hmm blah hmm", "length"),
        ("no_eos", "<think> plan</think><answer>", "length"),
        ("nothing_special", "<think> plan</think><answer>", "length"),
        ("end_at_once", "", "stop"),
    ],
)
def test_without_an_end_a_completion_goes_on_to_its_limit(made: Path, name: str, text: str, finish: str) -> None:
    for temperature in (0.0, 1.0):
        found = written(loaded(made / name), temperature, max_tokens=4)
        assert (found.text, found.finish) == (text, finish)


def test_a_stop_string_may_be_split_over_tokens(made: Path) -> None:
    found = written(loaded(made / "stop_split"), 1.0, stop=("</answer>",))
    assert (found.text, found.finish, len(found.token_ids)) == (" so</answer>\n\nand", "stop", 4)


def test_a_begin_token_is_there_once(made: Path) -> None:
    """The template writes one, and so does the tokenizer of many models."""
    assert loaded(made / "bos_twice").encode("1 + 1").count(1) == 1


# ---- kept ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "ends"),
    [("plain", 4), ("two_ends", [2, 5]), ("two_ends_config_only", [2, 5]), ("end_of_generation_only", [5, 2]),
     ("no_eos", None), ("unsavable", 4)],
)  # fmt: skip
@pytest.mark.parametrize("engine", ["local", "transformers"])
def test_both_files_keep_the_list(
    made: Path, name: str, ends: object, engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if engine == "transformers":
        monkeypatch.setattr(families, "FAMILIES", {"transformers": families.FAMILIES["transformers"]})
    model = loaded(made / name)
    learner = Backend(device=torch.device("cpu")).open_learner(model, OptimiserSettings(), token_budget=64)
    learner.export(tmp_path / "saved", model.tokenizer)
    for file in ("config.json", "generation_config.json"):
        assert json.loads((tmp_path / "saved" / file).read_text()).get("eos_token_id") == ends
    assert loaded(tmp_path / "saved").stop_ids == model.stop_ids


def test_generation_settings_are_kept_and_can_be_saved_again(made: Path, tmp_path: Path) -> None:
    """`transformers` refuses to write a temperature beside ``do_sample = false``."""
    from transformers import GenerationConfig

    loaded(made / "unsavable").save(tmp_path / "saved")
    found = GenerationConfig.from_pretrained(tmp_path / "saved")
    assert (found.temperature, found.top_p, found.do_sample) == (0.6, 0.9, True)
    found.save_pretrained(tmp_path)


# ---- taught ----------------------------------------------------------------------------------------------------------


def lesson(model: LoadedModel, response: str) -> list[int]:
    sample = Sample(id="a", prompt="1 + 1", response=response, domain="maths", language="en")
    workspace = Workspace(run=Path("run"), stage="sft", index=1, recipe=Recipe(name="none"))
    return [int(token) for token in lessons(SFT(start="base", data="x"), [sample], model, workspace)[0].response]


@pytest.mark.parametrize(
    ("name", "ends"), [("plain", [4]), ("two_ends", [4]), ("turn_ends_otherwise", [4]), ("no_eos", [4])]
)
def test_sft_teaches_the_end_that_the_template_writes(made: Path, name: str, ends: list[int], tmp_path: Path) -> None:
    model = loaded(made / name)
    own = model.tokenizer.encode(" plan 41", add_special_tokens=False)
    assert lesson(model, " plan 41") == [*own, *ends]
    model.keep_ends()
    model.save(tmp_path / "saved")
    assert 4 in end_sources(tmp_path / "saved", None)


@pytest.mark.parametrize(("named", "end"), [([2, 3], 3), ([2], 2)])
def test_a_turn_that_is_closed_by_nothing_ends_with_what_begins_the_next(
    named: list[int], end: int, tmp_path: Path
) -> None:
    """As GLM-4.5, where the model names the mark of a turn's begin as an end: sampled, learnt and told alike."""
    case = Case(
        say=(" 41", "<|im_start|>"), template=CHAT.replace("<|im_end|>\n", ""), eos="<|eos|>", in_generation=named
    )
    folder = write(tmp_path, case)
    model = loaded(folder)
    assert model.turn_end == (end,)
    assert lesson(model, " 41") == [*model.tokenizer.encode(" 41", add_special_tokens=False), end]
    assert (written(model, 0.0, max_tokens=4).finish == "stop") is (end == 3)
    told = "<|im_start|>" if end == 3 else "an end token, since the template writes none"
    assert dict(describe(folder, Template()).lines("float32"))["ends at"].endswith(f"SFT closes a turn with {told}")


def test_nothing_after_an_end_is_learnt(made: Path) -> None:
    """Data that bring their own end have it once, and what follows it is left out."""
    model = loaded(made / "two_ends")
    plan = model.tokenizer.encode(" plan", add_special_tokens=False)
    assert lesson(model, " plan<|im_end|>\n blah") == [*plan, 4]
    assert lesson(model, " plan<|end|> blah") == [*plan, 4]


def test_a_text_template_is_closed_by_the_tokenizer_s_end(made: Path) -> None:
    plain = Template(name="plain")
    assert loaded(made / "turn_ends_otherwise", plain).turn_end == (2,)
    model = loaded(made / "no_named_end", plain)
    assert model.turn_end == (5,)
    assert lesson(model, " plan")[-1:] == [5]
    model = loaded(made / "nothing_special", plain)
    assert (model.turn_end, model.stop_ids) == ((), ())
    with pytest.raises(InputError, match="no end token, and the template closes a turn with none"):
        lesson(model, " plan")


@pytest.mark.parametrize(
    ("template", "before", "end"),
    [
        (CHAT, "", 4),
        (CHAT.replace("<|im_end|>", "<|end|>"), "", 5),
        (CHAT.replace("<|im_end|>", " <|end|><|eos|>"), " ", 5),
        (CHAT.replace("<|im_end|>", ""), "", 2),
        ("{% for m in messages %}[{{ m['content'] }}]{{ eos_token }}{% endfor %}", "]", 2),
        (None, "", 2),
    ],
)
def test_the_end_of_a_turn_is_read_off_the_rendered_template(template: str | None, before: str, end: int) -> None:
    made = tokenizer(eos="<|eos|>", template=template)
    assert end_of_turn(made) == (*made.encode(before, add_special_tokens=False), end)


# ---- as configs write them -------------------------------------------------------------------------------------------


def test_ends_are_told_with_where_they_come_from(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('\ufeff{"eos_token_id": [7, 3], "text_config": {"eos_token_id": 9}}')
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": 3}')
    assert end_sources(tmp_path, 7) == {
        3: ("generation_config.json", "config.json"), 7: ("config.json", "the tokenizer"), 9: ("config.json",),
    }  # fmt: skip


@pytest.mark.parametrize("value", ["</s>", [1, "</s>"], True, 2.0, {"id": 1}])
def test_an_end_that_is_no_number_is_refused(value: object) -> None:
    with pytest.raises(InputError, match=r"config.json: eos_token_id = .* must be a token's number or a list of them"):
        as_ids(value, "config.json")
