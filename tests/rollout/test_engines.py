"""One contract for every engine, and what is particular to the local one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any

import pytest
import torch
from torch import Tensor

from r1kit.errors import InputError
from r1kit.model.decoder import Decoder, DecoderConfig
from r1kit.model.families.fallback import HubModel
from r1kit.model.segments import Segments
from r1kit.model.weights import NamedWeights
from r1kit.records import Completion, Group, Prompt, Sampling
from r1kit.rollout.engine import Bounded, Engine, Telling
from r1kit.rollout.hub import HubEngine
from r1kit.rollout.local import LocalEngine
from r1kit.rollout.sample import sample_groups
from r1kit.rollout.scripted import ScriptedEngine
from r1kit.rollout.stopping import Stopping, completing_tokens, text_of
from r1kit.vllm.engine import VLLMEngine
from tests.text.byte_fallback import byte_fallback, random_text

VLLM = (pytest.mark.vllm, pytest.mark.filterwarnings("ignore"))  # its own, of torch and of Triton
VOCAB = 60
PROMPTS = [[5, 6, 7], [8, 9, 10, 11, 12], [3], [40, 41, 42, 43]]
SEEDS = [101, 102, 103, 104]


class Words:
    """Token 9 reads `w9`, words are joined by spaces; 1 ends."""

    eos_token_id = 1

    def __len__(self) -> int:
        return VOCAB

    def encode(self, text: str, *, add_special_tokens: bool = False) -> list[int]:
        return [int(word[1:]) for word in text.split()]

    def decode(
        self, token_ids: list[int], *, skip_special_tokens: bool = False, clean_up_tokenization_spaces: bool = False
    ) -> str:
        return " ".join(f"w{token}" for token in token_ids)


def decoder(**changes: object) -> Decoder:
    shape: dict[str, object] = {
        "vocab_size": VOCAB,
        "hidden_size": 48,
        "intermediate_size": 64,
        "num_layers": 2,
        "num_heads": 4,
        "num_kv_heads": 2,
        "head_dim": 16,
    }
    model = Decoder(DecoderConfig(**(shape | changes)))  # type: ignore[arg-type]
    model.initialise(torch.Generator().manual_seed(1))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.dim() == 1:  # norms and biases that do something
                weight.add_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(len(name))) * 0.2)
        model.head.mul_(2.5)
    return model.requires_grad_(False)


FAMILIES = {
    "llama": {},
    "qwen2": {"family": "qwen2", "qkv_bias": True, "num_kv_heads": 4, "head_dim": 12},
    "qwen3": {"family": "qwen3", "qk_norm": True, "tie_embeddings": False, "rope_theta": 5000.0},
}


def hub_model() -> HubModel:
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    config = GPT2Config(vocab_size=VOCAB, n_embd=32, n_layer=2, n_head=2, n_positions=128, initializer_range=0.3)
    return HubModel(GPT2LMHeadModel(config))


def story(prompt: tuple[int, ...], seed: int, row: int) -> str:
    return " ".join(f"w{2 + (seed * 7 + row * 5 + step * prompt[0]) % (VOCAB - 2)}" for step in range(row % 3 + 30))


WIDE = {"head_dim": 32, "max_positions": 128}
"""What vLLM asks of a shape on a CPU: heads of 32 and more."""


def vllm_engine(model: Decoder, **options: Any) -> VLLMEngine:
    """On a model of few positions, with a small cache."""
    positions = model.config.max_positions
    return VLLMEngine(
        model.hub_config(), NamedWeights(model.hub_weights()), Words(), positions=positions, vocab_size=VOCAB,
        **({"max_rows": 6, "cache_gb": 0.05, "checksums": True} | options),
    )  # fmt: skip


ENGINES: dict[str, Callable[[], Engine]] = {
    "local fp32": lambda: LocalEngine(decoder(), Words(), max_rows=6),
    "local bf16": lambda: LocalEngine(decoder(), Words(), dtype=torch.bfloat16, max_rows=6),
    "fallback": lambda: HubEngine(hub_model(), Words(), max_rows=6),
    "scripted": lambda: ScriptedEngine(story, Words()),
    "vllm": lambda: vllm_engine(decoder(**WIDE)),
}
MARKED = [pytest.param(name, marks=VLLM if name == "vllm" else ()) for name in ENGINES]


@pytest.fixture(scope="module")
def kept() -> Iterator[list[VLLMEngine]]:
    """vLLM takes seconds to open: one serves until a test closes it."""
    found: list[VLLMEngine] = []
    yield found
    for engine in found:
        engine.close()


@pytest.fixture(params=MARKED)
def engine(request: pytest.FixtureRequest, kept: list[VLLMEngine]) -> Engine:
    if request.param == "vllm" and kept and not kept[-1].closed:
        kept[-1].resume()
        kept[-1].load_weights(weights_for(kept[-1]), version=0)
        return kept[-1]
    opened = ENGINES[request.param]()
    if isinstance(opened, VLLMEngine):
        kept.append(opened)
    return opened


def texts(groups: Sequence[Sequence[Completion]]) -> list[list[tuple[int, ...]]]:
    return [[completion.token_ids for completion in group] for group in groups]


def test_groups_are_told_as_they_end_and_are_those_of_generate() -> None:
    """Each once, in the order they end; an engine that does not tell is asked for all at once."""
    engine = ENGINES["local fp32"]()
    assert isinstance(engine, Telling)
    sampling = Sampling(n=3, max_tokens=40)
    together = engine.generate(PROMPTS, sampling, SEEDS)
    told: list[tuple[int, tuple[Completion, ...]]] = []
    engine.generate_each(PROMPTS, sampling, SEEDS, lambda place, row: told.append((place, row)))
    assert sorted(place for place, _ in told) == list(range(len(PROMPTS)))
    assert dict(told) == dict(enumerate(together))
    prompts = [Prompt(id=str(place), task="t", question="") for place in range(len(PROMPTS))]
    ended: list[int] = []

    def groups(engine: Engine) -> list[Group]:
        ended.clear()
        encoded = {prompt.id: ids for prompt, ids in zip(prompts, PROMPTS, strict=True)}
        return sample_groups(
            engine,
            prompts,
            lambda prompt: encoded[prompt.id],
            sampling,
            SEEDS.__getitem__,
            lambda place, group: ended.append(place),
        )

    assert [group.completions for group in groups(engine)] == together
    assert ended == [place for place, _ in told]
    groups(ENGINES["scripted"]())
    assert ended == list(range(len(PROMPTS)))


def test_what_passes_the_model_s_positions_is_refused(engine: Engine) -> None:
    if not isinstance(engine, Bounded):
        pytest.skip("has no positions")
    longest, positions = max(map(len, PROMPTS)), 128 if isinstance(engine, VLLMEngine | HubEngine) else 4096
    assert engine.positions == positions
    with pytest.raises(InputError, match=f"a prompt of {longest} tokens and max_tokens = {positions} pass the model's"):
        engine.generate(PROMPTS, Sampling(n=1, max_tokens=positions), SEEDS)


def test_counts_order_and_records(engine: Engine) -> None:
    sampling = Sampling(n=5, max_tokens=20)
    groups = engine.generate(PROMPTS, sampling, SEEDS)
    assert [len(group) for group in groups] == [5] * 4
    for completion in (one for group in groups for one in group):
        tokens = completion.token_ids
        assert 1 <= len(tokens) <= 20
        assert len(completion.logprobs) == len(tokens)
        assert all(isinstance(value, float) and value <= 1e-5 for value in completion.logprobs)
        assert 1 not in tokens[:-1]
        assert completion.finish == ("stop" if tokens[-1] == 1 else "length")
        assert completion.finish == "stop" or len(tokens) == 20
        assert completion.text == Words().decode([token for token in tokens if token != 1])
    assert len({completion.token_ids for completion in groups[0]}) > 1
    assert texts(engine.generate(PROMPTS[2:3], sampling, SEEDS[2:3])) == texts(groups)[2:3]
    assert engine.generate([], sampling, []) == []


def test_same_call_same_answer(engine: Engine) -> None:
    sampling = Sampling(n=3, max_tokens=12, temperature=0.8, top_p=0.9)
    assert engine.generate(PROMPTS, sampling, SEEDS) == engine.generate(PROMPTS, sampling, SEEDS)


def test_another_seed_another_answer(engine: Engine) -> None:
    sampling = Sampling(n=3, max_tokens=12)
    one, other = engine.generate([PROMPTS[0]] * 2, sampling, [1, 2])
    assert texts([one]) != texts([other])


def test_fewer_rows_are_the_first_rows(engine: Engine) -> None:
    many = engine.generate(PROMPTS, Sampling(n=5, max_tokens=10), SEEDS)
    few = engine.generate(PROMPTS, Sampling(n=2, max_tokens=10), SEEDS)
    assert texts(few) == [group[:2] for group in texts(many)]


def test_a_shorter_limit_cuts_the_same_text(engine: Engine) -> None:
    long = texts(engine.generate(PROMPTS, Sampling(n=3, max_tokens=15), SEEDS))
    short = texts(engine.generate(PROMPTS, Sampling(n=3, max_tokens=4), SEEDS))
    assert short == [[tokens[:4] for tokens in group] for group in long]


def test_stop_string_ends_after_the_token_that_completes_it(engine: Engine) -> None:
    free = engine.generate(PROMPTS, Sampling(n=4, max_tokens=20), SEEDS)
    stop = Words().decode(list(free[0][0].token_ids[3:5]))
    stopped = engine.generate(PROMPTS, Sampling(n=4, max_tokens=20, stop=("never", stop)), SEEDS)
    assert any(len(one.token_ids) < len(other.token_ids) for one, other in zip(stopped[0], free[0], strict=True))
    for group, unstopped in zip(stopped, free, strict=True):
        for one, other in zip(group, unstopped, strict=True):
            length = next((n for n in range(1, 21) if stop in Words().decode(list(other.token_ids[:n]))), None)
            assert one.token_ids == other.token_ids[:length]
            if length is not None:
                assert (one.finish, stop in one.text) == ("stop", True)


@pytest.mark.parametrize("strips", [False, True])
def test_a_stop_string_ends_where_it_is_complete_behind_byte_tokens(strips: bool) -> None:
    """As the whole text says, token by token; also in a completion that begins inside a character."""
    rng, tokenizer = Random(1), byte_fallback(strips=strips)
    strings = ["\n\n", "好", "。", "x.", "👍️", "so 等", "é\n", "�\n"]
    for _ in range(80):
        tokens = tokenizer.encode(random_text(rng, rng.randint(1, 25)), add_special_tokens=False)
        stop = tuple(rng.sample(strings, 2))
        sampling = Sampling(max_tokens=len(tokens) + 1, stop=stop)
        stopping = Stopping(tokenizer, sampling, [2], completing_tokens(tokenizer, stop, len(tokenizer)))
        held = (n for n in range(1, len(tokens) + 1) if any(one in text_of(tokenizer, tokens[:n]) for one in stop))
        assert stopping.length(tokens, 0) == next(held, None)
    sampling = Sampling(n=1, max_tokens=99, stop=("\n\n",))
    tokens = tokenizer.encode("👍👍\n\nso", add_special_tokens=False)
    stopping = Stopping(tokenizer, sampling, [2])
    assert [stopping.length(tokens[cut:], 0) for cut in range(8)] == [10 - cut for cut in range(8)]
    ((row,),) = ScriptedEngine(["👍👍\n\nso"], tokenizer).generate([[1]], sampling, [0])
    assert (row.token_ids, row.text, row.finish) == (tuple(tokens[:10]), "👍👍\n\n", "stop")


def test_greedy_rows_are_equal_with_logprob_zero(engine: Engine) -> None:
    if isinstance(engine, ScriptedEngine):
        engine = ScriptedEngine(["w3 w4", "w5"], Words())
    (group,) = engine.generate(PROMPTS[:1], Sampling(n=3, max_tokens=8, temperature=0.0), SEEDS[:1])
    assert len({completion.token_ids for completion in group}) == 1
    assert set(group[0].logprobs) == {0.0}


def weights_for(engine: Engine, scale: float = 1.0) -> NamedWeights:
    """Those the engine began with, the head's scaled."""
    if isinstance(engine, ScriptedEngine):
        return NamedWeights({})
    model = hub_model() if isinstance(engine, HubEngine) else decoder(**WIDE if isinstance(engine, VLLMEngine) else {})
    with torch.no_grad():
        model.head.mul_(scale)
    return NamedWeights(model.hub_weights())


class Counted(NamedWeights):
    """Counts how often it was gone through, and clears each tensor once the next is asked for."""

    rounds = 0

    def __iter__(self) -> Iterator[tuple[str, Tensor]]:
        self.rounds += 1
        for name, weight in super().__iter__():
            lent = weight.clone()
            yield name, lent
            lent.fill_(float("nan"))


def test_version_travels_and_close_is_idempotent(engine: Engine) -> None:
    sampling = Sampling(n=2, max_tokens=3)
    assert {one.version for group in engine.generate(PROMPTS, sampling, SEEDS) for one in group} == {0}
    engine.load_weights(weights_for(engine), version=7)
    assert {one.version for group in engine.generate(PROMPTS, sampling, SEEDS) for one in group} == {7}
    engine.close()
    engine.close()
    with pytest.raises(AssertionError, match="the engine is closed"):
        engine.generate(PROMPTS, sampling, SEEDS)


def test_weights_come_as_a_stream_and_are_copied(engine: Engine) -> None:
    sampling = Sampling(n=3, max_tokens=12)
    before = engine.generate(PROMPTS, sampling, SEEDS)
    stream = Counted(dict(weights_for(engine, scale=0.2)))
    engine.load_weights(stream, version=1)
    other = engine.generate(PROMPTS, sampling, SEEDS)
    assert stream.rounds == (0 if isinstance(engine, ScriptedEngine) else 1)
    assert (texts(other) == texts(before)) == isinstance(engine, ScriptedEngine)
    assert all(math.isfinite(value) for group in other for one in group for value in one.logprobs)
    engine.load_weights(weights_for(engine), version=2)
    assert texts(engine.generate(PROMPTS, sampling, SEEDS)) == texts(before)


def test_released_it_has_no_weights_and_resumed_it_takes_new_ones(engine: Engine) -> None:
    sampling = Sampling(n=3, max_tokens=12)
    before = engine.generate(PROMPTS, sampling, SEEDS)
    held = held_bytes(engine)
    engine.release()
    engine.release()
    assert held_bytes(engine) == 0
    with pytest.raises(AssertionError, match="released"):
        engine.generate(PROMPTS, sampling, SEEDS)
    engine.resume()
    engine.resume()
    with pytest.raises(AssertionError, match="no weights yet"):
        engine.generate(PROMPTS, sampling, SEEDS)
    engine.load_weights(weights_for(engine), version=3)
    assert held_bytes(engine) == held
    again = engine.generate(PROMPTS, sampling, SEEDS)
    assert texts(again) == texts(before)
    assert {one.version for group in again for one in group} == {3}


def held_bytes(engine: Engine) -> int:
    """Of the weights that an engine keeps; a tensor that lies in two places counts once."""
    if isinstance(engine, HubEngine):
        assert engine._model is not None
        return sum(weight.numel() * weight.element_size() for weight in engine._model.parameters())
    if isinstance(engine, LocalEngine) and engine._weights is not None:
        return engine._weights.embedding.numel() * engine._weights.embedding.element_size()
    return 0


def test_weights_that_do_not_fit_change_nothing(engine: Engine) -> None:
    if isinstance(engine, ScriptedEngine):
        pytest.skip("takes any weights")
    sampling = Sampling(n=3, max_tokens=12)
    before = engine.generate(PROMPTS, sampling, SEEDS)
    fitting = dict(weights_for(engine, scale=0.2))
    last = list(fitting)[-1]
    for weights in ({**fitting, last: torch.zeros(3, 3)}, {**fitting, "more": torch.zeros(1)}, {}):
        with pytest.raises(InputError, match="does not fit its config"):
            engine.load_weights(NamedWeights(weights), version=9)
        again = engine.generate(PROMPTS, sampling, SEEDS)
        assert texts(again) == texts(before)
        assert again[0][0].version == 0


@pytest.mark.parametrize("family", list(FAMILIES))
@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.7, 1.0), (1.2, 0.8)])
def test_logprobs_equal_a_recomputation(family: str, temperature: float, top_p: float) -> None:
    model = decoder(**FAMILIES[family])
    engine = LocalEngine(model, Words(), max_rows=7)
    groups = engine.generate(PROMPTS, Sampling(n=4, max_tokens=45, temperature=temperature, top_p=top_p), SEEDS)
    for prompt, group in zip(PROMPTS, groups, strict=True):
        for completion in group:
            tokens = torch.tensor([*prompt, *completion.token_ids])
            hidden = model.hidden(Segments.pack([tokens]))[len(prompt) - 1 : -1]
            chances = (hidden @ model.head.t() / temperature).double().softmax(-1)
            ordered, order = chances.sort(-1, descending=True)
            before = ordered.cumsum(-1) - ordered
            kept = torch.zeros_like(chances).scatter_(1, order, ((before < top_p) | (top_p == 1.0)).double())
            expected = (chances * kept / (chances * kept).sum(-1, keepdim=True)).log()
            expected = expected.gather(1, tokens[len(prompt) :, None])[:, 0]
            clear = (before - top_p).abs().min(-1).values > (1e-6 if top_p < 1 else -1)  # else rounding decides
            assert clear.float().mean() > 0.95
            assert (expected - torch.tensor(completion.logprobs))[clear].abs().max() < 1e-4


def test_bfloat16_logprobs_are_close_to_a_float32_recomputation() -> None:
    model = decoder()
    groups = LocalEngine(model, Words(), dtype=torch.bfloat16).generate(PROMPTS, Sampling(n=8, max_tokens=50), SEEDS)
    gaps = []
    for prompt, group in zip(PROMPTS, groups, strict=True):
        for completion in group:
            tokens = torch.tensor([*prompt, *completion.token_ids])
            scores = model.hidden(Segments.pack([tokens]))[len(prompt) - 1 : -1] @ model.head.t()
            expected = scores.log_softmax(-1).gather(1, tokens[len(prompt) :, None])[:, 0]
            gaps.append(expected - torch.tensor(completion.logprobs))
    assert torch.cat(gaps).abs().mean() < 0.03


@pytest.mark.parametrize("family", list(FAMILIES))
def test_batch_mates_refill_and_checks_change_no_token(family: str) -> None:
    """fp32: a row's tokens depend on its prompt, its seed and the weights."""
    model, sampling = decoder(**FAMILIES[family]), Sampling(n=6, max_tokens=40, stop=("w17", "w23 ", "w44"))
    expected = texts(LocalEngine(model, Words(), max_rows=64).generate(PROMPTS, sampling, SEEDS))
    assert len({len(tokens) for group in expected for tokens in group}) > 5
    for rows, check in ((1, 1), (3, 4), (5, 7), (23, 2)):
        engine = LocalEngine(model, Words(), max_rows=rows, check_every=check)
        assert texts(engine.generate(PROMPTS, sampling, SEEDS)) == expected
    alone = LocalEngine(model, Words())
    for index in (3, 1):
        assert texts(alone.generate([PROMPTS[index]], sampling, [SEEDS[index]])) == [expected[index]]


def test_bfloat16_refill_with_a_growing_cache_runs_every_row() -> None:
    sampling = Sampling(n=6, max_tokens=70)
    engine = LocalEngine(decoder(), Words(), dtype=torch.bfloat16, max_rows=5)
    for group in engine.generate(PROMPTS, sampling, SEEDS):
        assert all(completion.finish == "stop" or len(completion.token_ids) == 70 for completion in group)


def test_new_weights_are_a_copy_and_change_the_text() -> None:
    model, sampling = decoder(), Sampling(n=2, max_tokens=10)
    engine = LocalEngine(model, Words())
    before = engine.generate(PROMPTS, sampling, SEEDS)
    model.head.mul_(0.1)
    assert engine.generate(PROMPTS, sampling, SEEDS) == before
    engine.load_weights(NamedWeights(model.hub_weights()), version=1)
    assert texts(engine.generate(PROMPTS, sampling, SEEDS)) != texts(before)


def test_rows_may_have_limits_of_their_own() -> None:
    sampling = Sampling(n=3, max_tokens=15)
    engine = LocalEngine(decoder(), Words(), max_rows=5)
    limits = [1, 15, 7, 3, 2, 9, 15, 15, 4, 5, 6, 8]
    free, limited = engine.generate(PROMPTS, sampling, SEEDS), engine.generate(PROMPTS, sampling, SEEDS, limits=limits)
    cut = [
        tokens[: limits[3 * index + row]] for index, group in enumerate(texts(free)) for row, tokens in enumerate(group)
    ]
    assert [tokens for group in texts(limited) for tokens in group] == cut


def test_memory_setting_bounds_rows_and_refuses_what_cannot_fit() -> None:
    engine = LocalEngine(decoder(), Words(), max_cache_tokens=300)
    assert engine.rows_in_flight(100, 36) == 3
    with pytest.raises(InputError, match="max_cache_tokens is 300"):
        engine.generate(PROMPTS, Sampling(n=2, max_tokens=400), SEEDS)
    with pytest.raises(InputError, match="max_rows is 0"):
        LocalEngine(decoder(), Words(), max_rows=0)


def test_fallback_equals_the_local_engine_on_a_model_both_can_run() -> None:
    from transformers import AutoModelForCausalLM

    from r1kit.model.decoder import hub_config

    model = decoder()
    same = AutoModelForCausalLM.from_config(hub_config(model.config))
    same.load_state_dict(model.hub_weights(), strict=False)
    sampling = Sampling(n=3, max_tokens=25)
    local = LocalEngine(model, Words()).generate(PROMPTS, sampling, SEEDS)
    slow = HubEngine(HubModel(same), Words(), max_rows=5).generate(PROMPTS, sampling, SEEDS)
    assert texts(local) == texts(slow)
    for one, other in zip(local[0], slow[0], strict=True):
        assert one.logprobs == pytest.approx(other.logprobs, abs=1e-4)


def test_scripted_list_draws_by_seed_and_says_its_odds() -> None:
    engine = ScriptedEngine(["yes", "no", "maybe"])
    (group,) = engine.generate([[1]], Sampling(n=60, max_tokens=10), [5])
    assert {completion.text for completion in group} == {"yes", "no", "maybe"}
    assert group[0].logprobs[0] == pytest.approx(-math.log(3))
    assert set(group[0].logprobs[1:]) == {0.0}
    assert group[0].token_ids[-1] == 0
    assert engine.calls[0][2] == (5,)


def test_sample_groups_keeps_prompts_ids_and_seeds() -> None:
    prompts = [Prompt(id=f"p/{index}", task="t", question=str(index)) for index in range(3)]
    engine = ScriptedEngine(lambda prompt, seed, row: f"{prompt[0]}-{seed}-{row}")
    groups = sample_groups(
        engine, prompts, lambda prompt: [int(prompt.question) + 5], Sampling(n=2), lambda index: index * 10
    )
    assert [group.prompt for group in groups] == prompts
    assert [group.prompt_ids for group in groups] == [(5,), (6,), (7,)]
    assert [one.text for group in groups for one in group.completions] == [
        "5-0-0",
        "5-0-1",
        "6-10-0",
        "6-10-1",
        "7-20-0",
        "7-20-1",
    ]
