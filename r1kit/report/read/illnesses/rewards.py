"""Rewards that teach nothing, or something else than was meant."""

from __future__ import annotations

from collections.abc import Iterator

from r1kit.evals.hacking import HackingWatch, find_hacking
from r1kit.report.read.illnesses.illness import Illness
from r1kit.report.read.illnesses.patient import WINDOW, Patient, all_the_same
from r1kit.report.read.values import Row, mapping, number
from r1kit.report.read.wording import share, short

__all__ = ["all_right", "flat_reward", "gamed_parts", "hacked_model"]

FLAT = 0.9
"""Share of groups without an advantage. Healthy runs end with .5 to .72 of them: most prompts are answered by then."""
SOLVED = 0.9
"""Accuracy from which flat groups mean that all are right and not that all are wrong."""
STILL_STEPS = 60
"""Steps without a rise after which a reward is called flat: a third of that is quiet in many healthy runs."""
STILL_BELOW = 0.5
"""Accuracy below which a reward that does not move is ill: above it a run may have come to its plateau."""
STILL_ERRORS = 2.0
"""Standard errors within which two means are one."""
GAMED_STEPS = 40
"""A base learns the form before it learns to be right; by then the healthy runs had gained .5 of accuracy."""
GAMED_RISE, GAMED_GAIN = 0.1, 0.03
"""Rise of the reward, and gain of accuracy that would explain it."""


def flat_reward(patient: Patient) -> Iterator[Illness]:
    """Groups whose completions all earn the same; or a reward that has not moved for long."""
    flat, reward = patient.line("flat_group_share"), patient.line("reward")
    if not patient.is_rl or not flat.can_tell or _is_solved(patient):
        return
    since = flat.since(lambda share: share >= FLAT)
    if since is not None and not all_the_same(patient.recent.rows()):  # else that is the illness
        yield patient.ill(
            "flat reward",
            "serious",
            f"in {flat.last:.0%} of the last {WINDOW} steps' groups all completions earn the same (mean reward "
            f"{short(reward.last)}), so they have no advantage and teach nothing",
            since=since,
            helps="Look at some completions: where all are wrong, take easier prompts or let the curriculum choose "
            "(curriculum.by), sample more a prompt, or pay parts of the way; where the reward is a function of your "
            "own, see that it tells them apart.",
            setting="sampling.n",
            metric="flat_group_share",
        )
    elif since is None and (still := _still(patient)) is not None:
        yield still


def _still(patient: Patient) -> Illness | None:
    """The last steps' reward has not risen, and accuracy is low."""
    reward, accuracy = patient.line("reward"), patient.line("accuracy")
    if len(reward) < STILL_STEPS or not accuracy.can_tell or accuracy.last >= STILL_BELOW:
        return None
    values = reward.values[-STILL_STEPS:]
    third = STILL_STEPS // 3
    before, after = values[:third], values[-third:]
    means = sum(before) / third, sum(after) / third
    off = (value - mean for part, mean in zip((before, after), means, strict=True) for value in part)
    spread = sum(one * one for one in off)
    error = (spread / (2 * third - 2) * 2 / third) ** 0.5
    if means[1] - means[0] > STILL_ERRORS * error:
        return None
    since = reward.steps[-STILL_STEPS]
    return patient.ill(
        "flat reward",
        "warning",
        f"the mean reward has not risen for {STILL_STEPS} steps ({short(means[0])} then, {short(means[1])} now), and "
        f"accuracy is {share(accuracy.last)}",
        since=since,
        helps="Look at the samples: if the answers are near, more prompts a step or a higher learning rate may do; if "
        "they are far off, take easier tasks, or teach a few good samples first (cold_start and cold_start_sft).",
        setting="optimiser.lr",
        metric="reward",
    )


def _is_solved(patient: Patient) -> bool:
    accuracy = patient.line("accuracy")
    return accuracy.can_tell and accuracy.last >= SOLVED


def all_right(patient: Patient) -> Iterator[Illness]:
    """Nearly every group is all right: the prompts are too easy to teach more."""
    flat, accuracy = patient.line("flat_group_share"), patient.line("accuracy")
    if not patient.is_rl or not flat.can_tell or not _is_solved(patient):
        return
    since = flat.since(lambda share: share >= FLAT)
    if since is not None:
        yield patient.ill(
            "all groups right",
            "warning",
            f"accuracy is {share(accuracy.last)} and in {flat.last:.0%} of groups all completions earn the same: what "
            "is left to learn from is one group in ten or less",
            since=since,
            helps="Take harder tasks, let the curriculum pass over what is solved (curriculum.by = \"pass_rate\"), or "
            "stop here.",
            setting="curriculum.by",
            metric="flat_group_share",
        )  # fmt: skip


def gamed_parts(patient: Patient) -> Iterator[Illness]:
    """The reward rises and accuracy does not: other parts are what is learnt."""
    reward, accuracy = patient.line("reward"), patient.line("accuracy")
    if not patient.is_rl or len(reward) < GAMED_STEPS or not accuracy.can_tell or not patient.pays("accuracy"):
        return
    risen, gained = reward.last - reward.first, accuracy.last - accuracy.first
    if risen < GAMED_RISE or gained >= GAMED_GAIN or accuracy.last >= SOLVED:
        return
    parts = mapping(mapping(patient.settings.get("reward")).get("parts"))
    moved = {name: line.last - line.first for name in parts if len(line := patient.line(name)) and name != "accuracy"}
    most = max(moved, key=lambda name: moved[name] * float(number(parts, name) or 0.0), default="")
    told = f"; {most} went from {short(patient.line(most).first)} to {short(patient.line(most).last)}" if most else ""
    yield patient.ill(
        "reward without accuracy",
        "warning",
        f"the reward rose from {short(reward.first)} to {short(reward.last)} while accuracy went from "
        f"{share(accuracy.first)} to {share(accuracy.last)}{told}",
        since=reward.since(lambda mean: mean >= reward.first + GAMED_RISE),
        helps="The policy is paid for something else than right answers: weigh that part less, or pay it only with a "
        "right answer (reward.require_format, reward.language_if_correct).",
        setting=f"reward.parts.{most}" if most else "reward.parts",
        metric="reward",
    )


def hacked_model(patient: Patient) -> Iterator[Illness]:
    """A reward model's score rises over evaluations while the check that nobody is paid by falls."""
    routes = mapping(patient.settings.get("routes"))
    rows = [row for row in patient.stage.evals if str(row.get("task")) in routes and row.get("split") != "test"]
    held = [row for row in rows if number(row, "model_reward") is not None and number(row, "avg_at_k") is not None]
    first = (number(patient.settings, "steps") or 0) - (number(patient.settings, "preference_steps") or 0)
    steps = sorted({int(row["step"]) for row in held if row["step"] >= first})
    if len(steps) < 2:
        return
    rewards, gold = ([_mean(held, step, key) for step in steps] for key in ("model_reward", "avg_at_k"))
    watch = _watch(patient)
    found = find_hacking(steps, rewards, gold, watch)
    if found is None:
        return
    yield patient.ill(
        "reward-model hacking",
        "serious",
        found.reason.removeprefix("reward hacking: ").partition("; stopped at")[0],
        since=found.best_step,
        helps=f"Go back to step {found.best_step}. Fewer steps with the reward models, a smaller weight of their "
        "score, or reward models trained on what the policy writes now.",
        setting="preference_steps",
        metric="preference",
    )


def _watch(patient: Patient) -> HackingWatch:
    """The stage's own, told of from the first suspicious evaluation that is followed by another."""
    told = mapping(patient.settings.get("watch"))
    given = {name: value for name in ("rise", "fall") if (value := number(told, name)) is not None}
    return HackingWatch(**given, patience=int(number(told, "patience") or 2))


def _mean(rows: list[Row], step: int, key: str) -> float:
    values = [float(row[key]) for row in rows if row["step"] == step]
    return sum(values) / len(values)
