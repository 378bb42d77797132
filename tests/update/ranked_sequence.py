"""What a rank does in ``test_sequence.py``: ranks that share the tokens of a micro-batch, against the local learner."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from r1kit.cluster.ranks import Ranks
from r1kit.cluster.settings import FSDP
from r1kit.errors import InputError
from r1kit.model.families.dense import Layer
from r1kit.update.local import LocalLearner
from r1kit.update.settings import ExpertSettings
from r1kit.update.sharded import ShardedLearner

from .ranked_sharded import DEEPSEEK, GEMMA3, MUON, UNTIED, case, grpo, hub, pretraining, published, sft
from .test_local import CONFIG, LOSS, decoder, rollouts

WINDOW = replace(GEMMA3, layers=(Layer(window=6, rope="local"), Layer()))


def compare(ranks: Ranks) -> dict[str, tuple[Any, Any]]:
    """Case -> what the local learner alone found, and what this rank did."""
    cases = {
        "sft": (sft, CONFIG, case("sft", sequence=2)[2]),
        "grpo": (grpo, CONFIG, case("grpo", sequence=2)[2]),
        "muon, untied, checkpointing": (
            grpo,
            UNTIED,
            case("grpo", sequence=2, optimiser=MUON, checkpointing=True)[2],
        ),
        "gemma 3": (grpo, WINDOW, case("grpo", sequence=2)[2]),
        "deepseek": (grpo, DEEPSEEK, case("grpo", sequence=2, experts=ExpertSettings(bias_speed=0.01))[2]),
        "pretraining": (pretraining, CONFIG, case("pretraining", sequence=2)[2]),
    }
    found = {}
    for name, (play, config, settings) in cases.items():
        found[name] = (
            play(LocalLearner(decoder(config), replace(settings, own=None)), None),
            play(ShardedLearner(decoder(config), settings, ranks), ranks),
        )
    return found | {"shared": own_rows(ranks), "refused": refused(ranks)}


def own_rows(ranks: Ranks) -> tuple[Any, Any]:
    """Groups that stay with the rank that sampled them: rank 0 has one, rank 1 the other, further ranks none."""
    settings = case("grpo", sequence=2)[2]
    whole = rollouts(3)
    alone = LocalLearner(decoder(), replace(settings, own=None))
    wanted = alone.logprobs_and_entropies(whole), alone.update(whole, LOSS, 1e-2), published(alone)
    rows = [row for row in whole.rows if row.prompt == ranks.rank]
    own = replace(whole, rows=rows, sharded=True)
    learner = ShardedLearner(decoder(), settings, ranks)
    found = learner.logprobs_and_entropies(own), learner.update(own, LOSS, 1e-2), published(learner)
    places = [place for place, row in enumerate(whole.rows) if row.prompt == ranks.rank]
    return ([wanted[0][place] for place in places], *wanted[1:]), found


def refused(ranks: Ranks) -> list[str]:
    """What is said of heads and ranks that do not divide, and of a model that transformers runs."""
    told = []
    one_head = replace(CONFIG, num_kv_heads=1)
    for model, sequence in ((decoder(), ranks.size + 1), (decoder(one_head), 2), (hub("gpt2"), 2)):
        settings = replace(case("sft")[2], own=FSDP(sequence=sequence))
        try:
            ShardedLearner(model, settings, ranks)
            told.append("")
        except InputError as error:
            told.append(str(error))
    return told
