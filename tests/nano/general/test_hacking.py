"""What a fault that is left out does: a reward model of word counts, the least there is, pays for it."""

from random import Random

import numpy as np
import pytest
from numpy.typing import NDArray

from r1kit.nano.general import FAULTS, General, PreferenceConfig, bad_reply, good_reply, preference_pairs
from r1kit.nano.general.prompts import ask_of, language_of
from r1kit.nano.general.words import vocabulary
from r1kit.reward.extract import extract_answer

PLACE = {word: place for place, word in enumerate(vocabulary())}
HELD_OUT = General("general", PreferenceConfig().problems).held_out("test")


def counted(reply: str) -> NDArray[np.float64]:
    return np.bincount([PLACE[word] for word in reply.split()], minlength=len(PLACE)).astype(float)


def bradley_terry(faults: tuple[str, ...]) -> NDArray[np.float64]:
    """A weight for each word, by gradient ascent on log sigmoid(chosen - rejected) over 3000 pairs."""
    config = PreferenceConfig(faults=faults)
    pairs = [preference_pairs(config, index) for index in range(3000)]
    differences = np.array(
        [
            counted(extract_answer(pair.chosen, "tag") or "") - counted(extract_answer(pair.rejected, "tag") or "")
            for pair in pairs
        ]
    )
    weights = np.zeros(len(PLACE))
    for _ in range(300):
        doubt = 1 / (1 + np.exp(differences @ weights))
        weights += 0.5 * (differences.T @ doubt / len(pairs) - 1e-3 * weights)
    return weights


def mean_score(weights: NDArray[np.float64], fault: str) -> float:
    """Of held-out replies: good ones, or ones with the fault."""
    config, rng, scores = PreferenceConfig().problems, Random(0), []
    for prompt in HELD_OUT:
        ask, language = ask_of(prompt), language_of(prompt)
        reply = bad_reply(ask, language, fault, rng, config) if fault else good_reply(ask, language, rng)
        scores.append(float(counted(reply) @ weights))
    return float(np.mean(scores))


@pytest.mark.parametrize("hidden", [True, False], ids=["flattery hidden", "flattery shown"])
def test_flattery_is_paid_for_only_where_it_was_never_shown(hidden: bool) -> None:
    weights = bradley_terry(tuple(fault for fault in FAULTS if fault != "flattery" or not hidden))
    good = mean_score(weights, "")
    assert (mean_score(weights, "flattery") > good + 1) == hidden
    assert (mean_score(weights, "flattery") < good - 1) != hidden
    for fault in ("rude", "refuses"):
        assert mean_score(weights, fault) < good - 1
