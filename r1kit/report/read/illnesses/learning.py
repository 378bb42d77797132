"""Learning itself: too fast, without choice left, away from the reference, on other weights than were sampled."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from r1kit.report.read.illnesses.illness import Illness
from r1kit.report.read.illnesses.patient import WINDOW, Patient, all_the_same
from r1kit.report.read.values import mapping, number
from r1kit.report.read.wording import share, short

__all__ = ["collapsed_entropy", "far_from_reference", "rising_loss", "sampler_gap", "too_fast"]

NO_CHOICE = 0.02
"""Nats a token: one token in fifty is a choice. The nano chain ends at .07 with accuracy .95."""
SOLVED = 0.9
"""Accuracy at which no choice need be left."""
FALLEN, LEAST_FALL = 0.5, 0.1
"""What is left of the best mean accuracy (or reward) when learning has broken, and how far it must have fallen. The
healthy runs kept .87 of theirs."""
STEEP = 10.0
"""Gradient norm as a multiple of the stage's median: 2 on healthy RL."""
RATIO = 100.0
"""Policy over old probability of a token: what a step of a stable run does not reach."""
CLIPPED = 0.2
"""Share of tokens beyond the clip: a healthy run of several updates a step has a few hundredths."""
FAR = 1.0
"""Nats a token from the reference: healthy runs stay below .1."""
GAPS = {"float32": 1e-3, "bfloat16": 0.1, "float16": 0.1}
"""Most nats a token between engine and learner that rounding explains: 1e-6 to 1e-5 and .05 were seen."""
STALE_GAP = 0.5
"""The same where the engine samples ahead: updates lie between."""
RISEN, RISEN_BY = 1.5, 0.2
"""Loss as a multiple of its lowest mean, and least rise in nats."""


def collapsed_entropy(patient: Patient) -> Iterator[Illness]:
    """The policy has nothing left to choose between, and is not right yet."""
    entropy, accuracy = patient.learnt("entropy"), patient.line("accuracy")
    if not patient.is_rl or (accuracy.can_tell and accuracy.last >= SOLVED):
        return
    right = f"accuracy is {share(accuracy.last if accuracy.can_tell else None)}"
    if all_the_same(patient.recent.rows()):
        seen = f"the completions of each of the last {WINDOW} recorded groups are all the same, or nearly, and {right}"
        since = patient.recent.since(partial(all_the_same, least=1))
    elif entropy.can_tell and entropy.last < NO_CHOICE:
        began = f"{short(entropy.last)} nats a token (it began at {short(entropy.first)})"
        seen = f"entropy is {began}, so the completions of a prompt are nearly all the same, and {right}"
        since = entropy.since(lambda mean: mean < NO_CHOICE)
    else:
        return
    yield patient.ill(
        "entropy collapse",
        "serious",
        seen,
        since=since,
        helps="Go back to a step before it and lower the learning rate; clip upwards further than downwards "
        "(loss.clip_high), sample at temperature 1, or hold the policy to its reference (loss.kl_weight).",
        setting="optimiser.lr",
        metric="entropy",
    )


def too_fast(patient: Patient) -> Iterator[Illness]:
    """What was learnt is lost again, the gradient explodes, or the ratio does."""
    if not patient.is_rl:
        return
    signs = [sign for look in (_fallen, _steep, _clipped, _far_ratio) if (sign := look(patient))]
    if signs:
        yield patient.ill(
            "learning rate too high",
            "serious",
            "; ".join(said for said, _, _ in signs),
            since=min(since for _, since, _ in signs),
            helps="Lower the learning rate (by 3 or 10) and go on from a step before it; more prompts a step and a "
            "longer warm-up (schedule.warmup) make the same rate safer.",
            setting="optimiser.lr",
            metric=signs[0][2],
        )


Sign = tuple[str, int, str]
"""What was seen, since which step, in which field."""


def _fallen(patient: Patient) -> Sign | None:
    """Less than half is left of the best that was reached, or of what the stage began with."""
    level = patient.line("level")
    if level.can_tell and level.last > level.first:
        return None  # the prompts are harder now
    keys = ("accuracy", "reward") if patient.pays("accuracy") else ("reward",)
    return next((sign for key in keys if (sign := _fallen_part(patient, key))), None)


def _fallen_part(patient: Patient, key: str) -> Sign | None:
    line = patient.line(key)
    if len(line) < 2 * WINDOW:
        return None
    reached = [(mean, step) for mean, step in zip(line.means, line.steps, strict=False)]
    best, step = max([(line.values[0], line.steps[0]), *reached], key=lambda one: one[0])  # the first is the base's own
    if line.last > FALLEN * best or best - line.last < LEAST_FALL:
        return None
    since = line.since(lambda mean: mean <= FALLEN * best)
    return f"{key} fell from {short(best)} (step {step}) to {short(line.last)}", since or 0, key


def _steep(patient: Patient) -> Sign | None:
    norms = patient.learnt("grad_norm")
    if len(norms) < 2 * WINDOW:
        return None
    middle = sorted(norms.values)[len(norms) // 2]
    since = norms.since(lambda mean: mean >= STEEP * middle)
    if not middle or since is None:
        return None
    return f"the gradient's norm is {short(norms.last)}, {norms.last / middle:.0f} times its median", since, "grad_norm"


def _clipped(patient: Patient) -> Sign | None:
    clipped = patient.learnt("clip_share")
    since = clipped.since(lambda mean: mean >= CLIPPED) if clipped.can_tell else None
    return None if since is None else (f"the clip cuts {share(clipped.last)} of the tokens", since, "clip_share")


def _far_ratio(patient: Patient) -> Sign | None:
    ratios = patient.learnt("ratio_max")
    if not ratios.can_tell or (since := ratios.since(lambda mean: mean >= RATIO)) is None:
        return None
    return f"ratios to the old policy reach {short(ratios.last)}", since, "ratio_max"


def rising_loss(patient: Patient) -> Iterator[Illness]:
    """Of a stage that learns from text: the loss goes up again."""
    loss = patient.line("loss")
    if patient.is_rl or len(loss) < 2 * WINDOW or "model" in patient.rows[-1]:
        return
    means = loss.means
    best = min(range(len(means)), key=means.__getitem__)
    if loss.last < RISEN * means[best] or loss.last - means[best] < RISEN_BY:
        return
    yield patient.ill(
        "learning rate too high",
        "serious",
        f"the loss rose from {short(means[best])} (step {loss.steps[best]}) to {short(loss.last)}",
        since=loss.since(lambda mean: mean >= RISEN * means[best]),
        helps="Lower the learning rate (by 3 or 10); a longer warm-up (schedule.warmup) makes the same rate safer.",
        setting="optimiser.lr",
        metric="loss",
    )


def far_from_reference(patient: Patient) -> Iterator[Illness]:
    """The KL to the reference runs away although it is paid for."""
    kl = patient.learnt("kl")
    if not patient.is_rl or not kl.can_tell or kl.last < FAR:
        return
    yield patient.ill(
        "KL running away",
        "warning",
        f"the policy is {short(kl.last)} nats a token from its reference (the first steps: {short(kl.first)})",
        since=kl.since(lambda mean: mean >= FAR),
        helps="Weigh the KL term more (loss.kl_weight), lower the learning rate, or renew the reference more often "
        "(reference_every).",
        setting="loss.kl_weight",
        metric="kl",
    )


def sampler_gap(patient: Patient) -> Iterator[Illness]:
    """The engine does not sample from the weights that learn."""
    if not patient.is_rl:
        return
    key = "engine_gap"
    if not patient.line(key).can_tell and patient.setting("minibatches") in (1, None):
        key = "sampler_gap"
    gap = patient.line(key) if key == "engine_gap" else patient.learnt(key)
    bound = _most_gap(patient)
    if not gap.can_tell or gap.last < bound:
        return
    yield patient.ill(
        "sampler-learner gap",
        "serious",
        f"the engine's log-probs are {short(gap.last)} nats a token off the learner's on the same tokens; rounding "
        f"explains {bound:g}",
        since=gap.since(lambda mean: mean >= bound),
        helps="The engine samples from other weights, at another temperature or in another arithmetic: set dtype alike "
        "on both sides, see that every hand-over reaches it, and let max_gap end the run. loss.importance weighs what "
        "remains.",
        setting="max_gap",
        metric=key,
    )


def _most_gap(patient: Patient) -> float:
    """That needs no explanation."""
    if (number(patient.settings, "max_lag") or 0) > 0:
        return STALE_GAP
    dtype = str(patient.setting("dtype") or "auto")
    if dtype == "auto":
        dtype = str(mapping(patient.run.arithmetic).get("auto", "bfloat16"))
    return GAPS.get(dtype, GAPS["bfloat16"])
