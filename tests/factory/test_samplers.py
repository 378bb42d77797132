"""Models that only sample, beside the recipe's own: a judge, a writer, a refiner of another family."""

from __future__ import annotations

from pathlib import Path

import pytest

from r1kit.contracts import Model, Recipe
from r1kit.errors import InputError
from r1kit.factory.samplers import open_samplers
from r1kit.records import Sampling
from r1kit.text.template import Template
from r1kit.workspace import Workspace
from tests.model.scripted import CHAT, Case, write

THINKS = "{% if thinks %}<think>\n{% endif %}{% endif %}"
ASKS = "{{ strftime_now('%Y') }}" + CHAT.replace("nt\n{% endif %}", "nt\n" + THINKS)


def test_another_model_is_handed_what_its_own_template_looks_at(tmp_path: Path) -> None:
    """Arguments and the date are said of the recipe's model; a judge whose template knows neither is asked without."""
    own = write(tmp_path / "own", Case(say=(" plan", "<|im_end|>"), template=ASKS))
    judge = write(tmp_path / "judge", Case(say=(" 41", "<|im_end|>")))
    template = Template(arguments={"thinks": True}, date="1999-01-31")
    recipe = Recipe(name="r", device="cpu", model=Model(name=str(own), template=template))
    workspace = Workspace(run=tmp_path / "run", stage="cold_start", index=1, recipe=recipe)
    with open_samplers(["base", str(judge)], workspace, "float32", 4) as samplers:
        base, other = samplers["base"], samplers[str(judge)]
        assert (base.opens, other.opens) == (True, False)
        sampling = Sampling(n=1, temperature=0.0, max_tokens=4)
        assert other.engine.generate([other.encode("1 + 1")], sampling, [1])[0][0].text == " 41"
    wrong = Recipe(name="r", device="cpu", model=Model(name=str(judge), template=template))
    unread = r"arguments.thinks: the model's chat template never looks at it"
    alone = Workspace(run=tmp_path, stage="s", index=1, recipe=wrong)
    with pytest.raises(InputError, match=unread), open_samplers(["base"], alone, "float32", 4):
        pass
