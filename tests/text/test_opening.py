"""A template that opens ``<think>`` itself: found, told, and the tag is there once wherever a response is read.

Against the checkpoint ``thinks`` (`` plan</think><answer> 41</answer>``) and one whose chain never closes.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from r1kit.backends.backend import Backend
from r1kit.records import Completion, Group, Prompt
from r1kit.reward.extract import thinking
from r1kit.reward.learned import LearnedReward
from r1kit.reward.rule import score_completion
from r1kit.reward.settings import RewardConfig
from r1kit.tasks.task import Grade
from r1kit.text.light_tokenizer import prompts_open
from r1kit.text.seen import in_tags, summary, unclosed, with_opening
from r1kit.text.template import Template
from tests.model.scripted import write

OPENED = "\n plan</think><answer> 41</answer>"
PROMPT = Prompt(id="p", task="sums", question="40 + 1", answer="41")


@pytest.mark.parametrize(
    ("name", "template", "opens"),
    [
        ("thinks", Template(), True),
        ("plain", Template(), False),
        ("plain", Template(prefill="<think>\n"), True),
        ("thinks", Template(name="plain"), False),
        ("thinks", Template(name="plain", prefill=" <think>"), True),
        ("no_template", Template(name="r1_zero"), False),
    ],
)
def test_whether_prompts_open_the_thinking_is_read_off_the_prompt(
    name: str, template: Template, opens: bool, tmp_path: Path
) -> None:
    """By the folder alone and by the loaded model alike."""
    folder = write(tmp_path, name)
    assert prompts_open(folder, template) is opens
    loaded = Backend(device=torch.device("cpu"), template=template).load(str(folder))
    assert loaded.opens_think is opens
    told = [line for line in loaded.remarks() if line.startswith("prompts end in <think>")]
    assert len(told) == opens


def test_remarks_name_what_costs_a_run(tmp_path: Path) -> None:
    folder = write(tmp_path, "nothing_special")
    cpu = torch.device("cpu")
    plain = Backend(device=cpu, template=Template(name="plain")).load(str(folder))
    assert plain.remarks() == ["the model has no end token: every completion runs to its limit"]
    named = Backend(device=cpu).load(str(folder)).remarks()
    assert named == ["the model names no end token: completions that do not close their turn run to their limit"]
    (folder / "chat_template.jinja").write_text(
        "{{ strftime_now('%d') }}{% for m in messages %}{% if m['role'] != 'system' %}{{ m['content'] }}<|end|>"
        "{% endif %}{% endfor %}{% if not thinks %}<think>\n\n</think>\n\n{% endif %}"
    )
    chat = Backend(device=cpu, template=Template(system="Be brief.")).load(str(folder))
    assert [line.split(":")[0] for line in chat.remarks()] == [
        "the model names no end token",
        "the chat template closes the thinking before it began",
        "the chat template writes today's date",
        "the chat template takes no system prompt",
    ]


# ---- judged ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prefilled", "opens", "form"), [("auto", True, 1.0), ("auto", False, 0.0), (False, True, 0.0), (True, False, 1.0)]
)
def test_the_form_is_judged_with_the_tag_put_back(prefilled: object, opens: bool, form: float) -> None:
    config = RewardConfig(prefilled=prefilled).settled(opens)  # type: ignore[arg-type]
    for style in ("think_answer", "think_summary"):
        asked = replace(config, format_style=style)  # type: ignore[arg-type]
        found = score_completion(Any41(), PROMPT, OPENED, "stop", asked)
        assert found.parts["format"] == form


class Any41:
    """Grades 41."""

    def grade(self, prompt: Prompt, answer: str) -> Grade:
        return Grade(correct=float(answer == "41"), canonical=answer)


@pytest.mark.parametrize("style", ["tag", "boxed", "last_number", "last_line"])
def test_a_chain_that_is_never_closed_has_no_answer_no_form_and_no_summary(style: str) -> None:
    text = " so 41 or \\boxed{41} or 41\n41"
    config = RewardConfig(answer_style=style, prefilled=True)  # type: ignore[arg-type]
    found = score_completion(Any41(), PROMPT, text, "stop", config)
    assert (found.parts["accuracy"], found.parts["format"], found.answer) == (0.0, 0.0, None)
    assert unclosed(with_opening(text))
    assert summary(with_opening(text)) == ""
    closed = score_completion(Any41(), PROMPT, f"so</think>{text}<answer>41</answer>", "stop", config)
    assert closed.parts["accuracy"] == float(style != "last_line")


def test_reward_models_read_the_summary_alone() -> None:
    class Summaries:
        read, parameters = 0, 1

        def score(self, questions: list[str], responses: list[str]) -> list[float]:
            return [float(len(summary(response))) for response in responses]

    completions = tuple(
        Completion(token_ids=(1,), logprobs=(0.0,), text=text, finish="stop")
        for text in (" so </think> five", " so so")
    )
    group = Group(prompt=PROMPT, prompt_ids=(1,), completions=completions)
    learned = LearnedReward({"helpfulness": Summaries()}, {"sums": "helpfulness"}, opens=True)
    assert learned.score([group]) == [[4.0, 0.0]]


@pytest.mark.parametrize(
    ("text", "whole"), [(" plan", "<think>\n plan"), ("\nplan", "<think>\nplan"), ("", "<think>\n")]
)
def test_the_tag_is_put_back_with_a_line_break(text: str, whole: str) -> None:
    assert with_opening(text) == whole


# ---- marks of a model's own ------------------------------------------------------------------------------------------

CHANNELS = "<|channel|>analysis<|message|>so<|end|><|start|>assistant<|channel|>final<|message|>"


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (CHANNELS + "yes", "<think>so</think>yes"),
        ("<|channel|>analysis<|message|>so", "<think>so"),
        ("<|channel|>final<|message|>yes", "yes"),
        ("<|channel>thought\nso\n<channel|>yes", "<think>\nso\n</think>yes"),
        ("\n<seed:think>so</seed:think>yes", "<think>so</think>yes"),
        ("[THINK]so[/THINK]yes", "<think>so</think>yes"),
        ("so " + CHANNELS, "so " + CHANNELS),
        ("<think>so</think>yes", "<think>so</think>yes"),
    ],
)
def test_thinking_between_marks_of_a_model_s_own_is_read_in_tags(text: str, read: str) -> None:
    assert in_tags(text) == read
    assert in_tags(read) == read


def test_rewards_and_reward_models_read_channels_as_tags() -> None:
    config = RewardConfig(format_style="think_answer").settled(False)
    found = score_completion(Any41(), PROMPT, CHANNELS + "<answer>41</answer>", "stop", config)
    assert (found.parts["accuracy"], found.parts["format"]) == (1.0, 1.0)
    last = replace(config, answer_style="last_number", format_style="none")
    cut = score_completion(Any41(), PROMPT, "<|channel|>analysis<|message|>so 41", "stop", last)
    assert cut.parts["accuracy"] == 0.0, "only thought"
    assert (thinking(CHANNELS + "yes"), summary(CHANNELS + "yes")) == ("so", "yes")
    assert summary("<|channel|>analysis<|message|>so") == ""
