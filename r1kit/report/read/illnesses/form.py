"""The asked form is never met, or no answer is ever found: the reward stays 0 and only the samples say why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from r1kit.report.read.illnesses.illness import Example, Illness
from r1kit.report.read.illnesses.patient import WINDOW, Patient
from r1kit.report.read.values import Row, mapping
from r1kit.reward.format import FORMAT_STYLES, TAGS, format_reward
from r1kit.text.seen import in_tags, with_opening

__all__ = ["answer_never_found", "format_never_matched", "lacking"]

NEVER = 0.01
"""Share below which the form counts as never met: at .2 for the form a hundredth is .002 of reward. Healthy runs begin
with .12 and more."""
FEWEST = 32
"""Completions of a step, or recorded ones, to judge by."""


def format_never_matched(patient: Patient) -> Iterator[Illness]:
    """The form is paid for and nearly no completion has it."""
    form = patient.line("format")
    if not patient.is_rl or not patient.pays("format") or not form.can_tell or form.last >= NEVER:
        return
    style = str(patient.setting("reward.format_style") or "think_answer")
    nearest = _nearest(patient, style)
    lacks = f"; the nearest miss: {nearest.says}" if nearest else ""
    yield patient.ill(
        "format never matched",
        "serious",
        f"{f'{form.last:.2%}' if form.last else 'none'} of the last {WINDOW} steps' completions has the form {style}"
        f"{lacks}",
        since=form.since(lambda mean: mean < NEVER),
        helps="Say in the prompt how to answer (model.template.suffix), read the form as the model writes it "
        "(reward.format_style, reward.prefilled), pay it tag by tag (reward.format_partial), or teach it first "
        "(cold_start_sft).",
        setting="reward.format_style",
        metric="format",
        example=nearest,
    )


def answer_never_found(patient: Patient) -> Iterator[Illness]:
    """Accuracy is paid for and no recorded completion has an answer that could be read."""
    rows = patient.recent.rows() if patient.is_rl and patient.pays("accuracy") else ()
    accuracy = patient.line("accuracy")
    if len(rows) < FEWEST or not accuracy.can_tell or accuracy.last >= NEVER or _answered(rows) >= NEVER * len(rows):
        return
    style = str(patient.setting("reward.answer_style") or "tag")
    shown = max(rows, key=lambda row: row.get("finish") == "stop")
    yield patient.ill(
        "answer never found",
        "serious",
        f'answer_style = "{style}" finds an answer in {_answered(rows) or "none"} of the last {len(rows)} recorded '
        f"completions, and accuracy is {accuracy.last:.3g}",
        since=patient.recent.since(lambda rows: _answered(rows) <= 1),
        helps="Read answers as the model writes them (reward.answer_style: tag, boxed, last_number or last_line), or "
        "ask for the form in the prompt (model.template.suffix).",
        setting="reward.answer_style",
        metric="accuracy",
        example=Example.of(shown, f'no answer of style "{style}"'),
    )


def _answered(rows: Sequence[Row]) -> int:
    return sum(row.get("answer") is not None for row in rows)


def _nearest(patient: Patient, style: str) -> Example | None:
    """The recorded completion that lacks least, the newest of those."""
    told = mapping(patient.settings.get("reward"))
    opened = _is_opened(patient, told)
    best: tuple[int, Row, list[str]] | None = None
    if style not in FORMAT_STYLES:
        return None
    for row in reversed(patient.recent.rows()):
        text = with_opening(row["completion"]) if opened else row["completion"]
        lacks = lacking(text, str(row.get("finish")), style, blank_thinking=bool(told.get("blank_thinking")))
        if lacks and (best is None or len(lacks) < best[0]):
            best = len(lacks), row, lacks
    return None if best is None else Example.of(best[1], ", ".join(best[2]))


def _is_opened(patient: Patient, reward: Row) -> bool:
    """Whether the prompt wrote ``<think>``: as the recipe says, or as no completion writes it and some close it."""
    if isinstance(said := reward.get("prefilled"), bool):
        return said
    texts = [row["completion"] for row in patient.recent.rows()]
    return not any("<think>" in text for text in texts) and any("</think>" in text for text in texts)


def lacking(text: str, finish: str, style: str, *, blank_thinking: bool = False) -> list[str]:
    """What keeps a completion from its form, a few words each; empty where it has it."""
    text = in_tags(text)
    if format_reward(text, finish, style, blank_thinking=blank_thinking):  # type: ignore[arg-type]
        return []
    found = ["it was cut before its end"] if finish != "stop" else []
    if style == "boxed":
        return [*found, "no \\boxed{…} with an answer after the thinking"]
    found += [f"{tag} is missing" for tag in TAGS if tag not in text]
    found += [f"{tag} stands there {text.count(tag)} times" for tag in TAGS if text.count(tag) > 1]
    places = [text.index(tag) for tag in TAGS if text.count(tag) == 1]
    if places != sorted(places):
        found.append("the tags are not in their order")
    elif not found:
        found = _around(text, style, blank_thinking)
    return found or ["it has the tags, but not as the form wants them"]


def _around(text: str, style: str, blank_thinking: bool) -> list[str]:
    """Each tag is there once, in order: what stands where nothing should, or nothing where something should."""
    before, rest = text.split("<think>")
    thought, rest = rest.split("</think>")
    between, rest = rest.split("<answer>")
    answer, after = rest.split("</answer>")
    found = [f"{_start(part)} stands {where}" for part, where in ((before, "before <think>"),) if part.strip()]
    if between.strip() and style != "think_summary":
        found.append(f"{_start(between)} stands between </think> and <answer>")
    if after.strip():
        found.append(f"{_start(after)} stands after </answer>")
    if not thought.strip() and not blank_thinking:
        found.append("nothing is thought between <think> and </think>")
    if not answer.strip():
        found.append("nothing is answered between <answer> and </answer>")
    if not found and style == "strict":
        found.append("a tag lacks its line break (the form strict has one around each)")
    return found


def _start(text: str) -> str:
    text = " ".join(text.split())
    return f"'{text if len(text) <= 40 else text[:37] + '...'}'"
