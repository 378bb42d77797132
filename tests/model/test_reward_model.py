"""A reward model: its folder is transformers' own, padding changes nothing, and it sees its part of a response."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from r1kit.errors import InputError
from r1kit.model.decoder import Decoder, DecoderConfig
from r1kit.model.load import save_model
from r1kit.model.reward_model import Outlook, RewardModel, padded
from r1kit.text.seen import seen, summary
from r1kit.text.template import Template
from r1kit.text.tokenizer import build_tokenizer

WORDS = ["User:", "Assistant:", *"abcdefgh"]
QUESTIONS = ["a b", "c", "a b c d e f"]
RESPONSES = [
    "<think> a </think> <answer> b </answer>",
    "c d",
    "<think> a b c d </think> <answer> e f g h </answer>",
]

ROUNDING = {"rel": 1e-4, "abs": 1e-5}
"""Scores are sums of terms of up to about 1. Rows that are padded, or batched in another way, are summed in another
order by every processor's kernels; what is read off a wrong token is off by a thousandth or more."""


def policy(folder: Path, family: str = "llama", hidden: int = 16) -> Path:
    """A tiny random language model over ``WORDS``."""
    tokenizer = build_tokenizer(WORDS)
    model = Decoder(
        DecoderConfig(
            family=family,
            vocab_size=len(tokenizer),
            hidden_size=hidden,
            intermediate_size=2 * hidden,
            num_layers=2,
            num_heads=2,
            num_kv_heads=1,
            head_dim=hidden // 2,
            qkv_bias=family == "qwen2",
            qk_norm=family == "qwen3",
            max_positions=64,
        )
    )
    model.initialise(torch.Generator().manual_seed(3))
    save_model(folder, model, tokenizer)
    return folder


def copied(base: Path, folder: Path, file: str, **changes: Any) -> Path:
    """The folder with some keys of a JSON file changed."""
    folder.mkdir()
    for path in base.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / file).write_text(json.dumps({**json.loads((folder / file).read_text()), **changes}))
    return folder


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return policy(tmp_path_factory.mktemp("base") / "checkpoint")


def reward_model(folder: Path, outlook: Outlook) -> RewardModel:
    """With a head that is not zero, so that scores differ."""
    model = RewardModel.create(folder, outlook)
    head = model.model.get_parameter("score.weight")
    with torch.no_grad():
        head.normal_(generator=torch.Generator().manual_seed(1))
    return model


# ---- what is seen -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("<think> a b </think> <answer> c </answer>", "c"),
        ("a b </think> In short, <answer>c</answer>.", "In short, c."),  # the opening tag was prefilled
        ("c d", "c d"),
        ("<answer> c </answer>", "c"),
        ("<think> a b", ""),  # thinking to the end
        ("<think> a </think> b </think> c", "b </think> c"),  # nothing after the first end can hide
        ("", ""),
    ],
)
def test_the_summary_is_what_follows_the_thinking(text: str, left: str) -> None:
    assert summary(text) == left
    assert seen(text, "summary") == left
    assert seen(text, "response") == text


def test_a_summary_model_does_not_see_the_thinking_and_a_response_model_does(base: Path) -> None:
    same = ["<think> a a a </think> <answer> b </answer>", "<think> c d e f </think> <answer> b </answer>"]
    other = ["<think> a a a </think> <answer> b </answer>", "<think> a a a </think> <answer> c </answer>"]
    blind = reward_model(base, Outlook(sees="summary"))
    whole = reward_model(base, Outlook(sees="response"))
    first, second = blind.score(["a", "a"], same)
    assert first == second
    assert blind.score(["a"], same[:1]) != blind.score(["a"], other[1:])
    assert whole.score(["a"], same[:1]) != whole.score(["a"], same[1:])


# ---- scores -------------------------------------------------------------------------------------------------------


def test_a_row_is_prompt_part_and_end_token(base: Path) -> None:
    model = reward_model(base, Outlook(sees="summary"))
    ids = model.tokenizer.get_vocab()
    wanted = ["<bos>", "User:", "a", "b", "Assistant:", "b", "<eos>"]
    assert model.encode(QUESTIONS[0], RESPONSES[0]) == [ids[word] for word in wanted]


@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3"])
def test_neither_padding_nor_the_batch_changes_scores(tmp_path: Path, family: str) -> None:
    model = reward_model(policy(tmp_path / "base", family), Outlook())
    together = model.score(QUESTIONS, RESPONSES)
    alone = [model.score([q], [r])[0] for q, r in zip(QUESTIONS, RESPONSES, strict=True)]
    assert together == pytest.approx(alone, **ROUNDING)
    assert model.score(QUESTIONS, RESPONSES, budget=1) == alone
    assert model.score(QUESTIONS[::-1], RESPONSES[::-1]) == together[::-1]
    assert model.score(QUESTIONS, RESPONSES) == together
    assert len({round(score, 6) for score in together}) == 3


def test_equal_responses_are_read_once(base: Path) -> None:
    model = reward_model(base, Outlook())
    alone = model.score(QUESTIONS, RESPONSES)
    read, model.read = model.read, 0
    twice = model.score([*QUESTIONS, *QUESTIONS[::-1]], [*RESPONSES, *RESPONSES[::-1]])
    assert twice == [*alone, *alone[::-1]]
    assert model.read == read == sum(len(model.encode(*each)) for each in zip(QUESTIONS, RESPONSES, strict=True))


def test_the_score_is_read_off_the_last_real_token(base: Path) -> None:
    """By hand: the body's last state of an unpadded row times the head."""
    model = reward_model(base, Outlook())
    row = model.encode(QUESTIONS[0], RESPONSES[0])
    with torch.no_grad():
        state = model.model.base_model(input_ids=torch.tensor([row])).last_hidden_state[0, -1]
        expected = float(state @ model.model.score.weight[0])
    assert model.logits(QUESTIONS, RESPONSES)[0] == pytest.approx(expected, **ROUNDING)


def test_mean_and_std_are_taken_off(base: Path) -> None:
    raw = reward_model(base, Outlook()).score(QUESTIONS, RESPONSES)
    scaled = reward_model(base, Outlook(mean=0.5, std=2.0)).score(QUESTIONS, RESPONSES)
    assert scaled == pytest.approx([(value - 0.5) / 2 for value in raw])


def test_a_fresh_head_prefers_nothing(base: Path) -> None:
    assert RewardModel.create(base, Outlook()).score(QUESTIONS, RESPONSES) == [0.0] * 3


# ---- folders ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3"])
def test_transformers_opens_the_folder_with_equal_scores(tmp_path: Path, family: str) -> None:
    model = reward_model(policy(tmp_path / "base", family), Outlook(mean=0.25, std=4.0))
    model.save(tmp_path / "reward")
    hub = AutoModelForSequenceClassification.from_pretrained(tmp_path / "reward")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "reward")
    assert hub.config.num_labels == 1
    texts = [f"<bos> User: {q} Assistant: {r} <eos>" for q, r in zip(QUESTIONS, RESPONSES, strict=True)]
    with torch.no_grad():
        given = hub(**tokenizer(texts, return_tensors="pt", padding=True)).logits[:, 0]
    assert tokenizer.padding_side == "right"
    expected = model.score(QUESTIONS, RESPONSES)
    assert ((given - 0.25) / 4).tolist() == pytest.approx(expected, **ROUNDING)


def test_what_was_saved_opens_again_whole(base: Path, tmp_path: Path) -> None:
    outlook = Outlook(sees="summary", template=Template(name="plain", suffix=" h"), mean=0.1, std=3.0)
    model = reward_model(base, outlook)
    model.save(tmp_path / "reward")
    model.save(tmp_path / "reward")  # replaces it
    again = RewardModel.open(tmp_path / "reward")
    assert again.outlook == outlook
    assert again.score(QUESTIONS, RESPONSES) == model.score(QUESTIONS, RESPONSES)
    assert [path.name for path in tmp_path.iterdir()] == ["reward"]


def test_any_architecture_that_classifies_and_padding_that_is_the_end_token(
    tmp_path: Path, tiny_model: Callable[..., PreTrainedModel], byte_tokenizer: PreTrainedTokenizerFast
) -> None:
    tiny_model("gpt_neox", num_key_value_heads=4).save_pretrained(tmp_path / "base")
    byte_tokenizer.save_pretrained(tmp_path / "base")
    model = RewardModel.create(tmp_path / "base", Outlook())
    with torch.no_grad():
        for name, weight in model.model.named_parameters():
            if not name.startswith(model.model.base_model_prefix):
                weight.fill_(0.1)
    assert model.encode("a", "b")[-1] == ord("b") - ord("!")  # no end token: it would be taken for padding
    together = model.score(["a", "abc"], ["b", "some more"])
    assert together == pytest.approx(
        [model.score([q], [r])[0] for q, r in (("a", "b"), ("abc", "some more"))], **ROUNDING
    )
    assert abs(together[0] - together[1]) > 100 * ROUNDING["abs"]


def test_rows_are_padded_on_the_right() -> None:
    tokens, mask = padded([[5, 6], [7]], 0)
    assert tokens.tolist() == [[5, 6], [7, 0]]
    assert mask.tolist() == [[1, 1], [1, 0]]


# ---- bad input ----------------------------------------------------------------------------------------------------


def test_folders_that_are_no_reward_model(base: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is no reward model: it has no r1kit_reward\.json"):
        RewardModel.open(base)
    reward_model(base, Outlook()).save(tmp_path / "reward")
    settings = tmp_path / "reward" / "r1kit_reward.json"
    for text, told in (
        ("{", "not valid JSON"),
        ("[]", "expected a JSON object"),
        ('{"sees": "sumary"}', "Did you mean 'summary'"),
        ('{"std": 0.0}', "std = 0.0: must be above 0"),
    ):
        settings.write_text(text)
        with pytest.raises(InputError, match=told):
            RewardModel.open(tmp_path / "reward")
    settings.write_text("{}")
    weights = tmp_path / "reward" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"model.safetensors is damaged or cut short \(\d+ of \d+ bytes\); fetch"):
        RewardModel.open(tmp_path / "reward")
    weights.unlink()
    with pytest.raises(InputError, match=r"reward lacks model\.safetensors"):
        RewardModel.open(tmp_path / "reward")


def test_an_architecture_that_cannot_classify_is_told(base: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot become a reward model"):
        RewardModel.create(copied(base, tmp_path / "mamba", "config.json", model_type="mamba"), Outlook())


def test_without_a_pad_token_the_end_token_pads_and_without_either_it_is_told(base: Path, tmp_path: Path) -> None:
    padless = copied(base, tmp_path / "padless", "tokenizer_config.json", pad_token=None)
    RewardModel.create(padless, Outlook()).save(tmp_path / "reward")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "reward")
    assert tokenizer.pad_token == "<eos>"
    assert RewardModel.open(tmp_path / "reward").pad == tokenizer.eos_token_id == 2
    neither = copied(base, tmp_path / "neither", "tokenizer_config.json", pad_token=None, eos_token=None)
    with pytest.raises(InputError, match="neither a pad nor an end token"):
        RewardModel.create(neither, Outlook())


def test_products_in_bfloat16_are_near_and_weights_and_gradients_stay_float32(base: Path) -> None:
    exact, fast = (reward_model(base, Outlook()) for _ in range(2))
    fast.products = torch.bfloat16
    wanted, found = exact.score(QUESTIONS, RESPONSES), fast.score(QUESTIONS, RESPONSES)
    assert wanted != found
    assert found == pytest.approx(wanted, rel=0.05, abs=0.15)
    fast.forward([fast.encode("a", "b")]).sum().backward()
    assert {weight.grad.dtype for weight in fast.model.parameters() if weight.grad is not None} == {torch.float32}


# ---- steps ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3"])
def test_a_step_s_score_is_that_of_the_row_cut_there(tmp_path: Path, family: str) -> None:
    model = reward_model(policy(tmp_path / "own", family), Outlook())
    rows = [model.encode(*both) for both in zip(QUESTIONS, RESPONSES, strict=True)]
    ends = [[2, 5, len(rows[0])], [len(rows[1])], [3, 4, 7]]
    cut = [row[:end] for row, own in zip(rows, ends, strict=True) for end in own]
    assert model.forward_steps(rows, ends).tolist() == pytest.approx(model.forward(cut).tolist(), **ROUNDING)
    for budget in (10, 16384):
        found = model.steps_of(rows, ends, budget)
        assert [len(row) for row in found] == [3, 1, 3]
        expected = torch.sigmoid(torch.tensor(model.logits_of(cut))).tolist()
        assert [value for row in found for value in row] == pytest.approx(expected, **ROUNDING)
