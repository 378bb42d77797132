"""What the stage itself would say of a response that a person has edited: its form, its filters, its task's rule."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from r1kit.contracts import Recipe
from r1kit.errors import R1Error, first_line
from r1kit.factory.collection import Plan
from r1kit.factory.filters import failed_filter
from r1kit.records import Completion, Group, Prompt, Sample, Score
from r1kit.reward.format import TAGS, FormatStyle, format_reward
from r1kit.reward.verifier import Verifier

if TYPE_CHECKING:
    from r1kit.factory.cold_start_settings import ColdStart

__all__ = ["Rules", "Verdict", "form_fault"]

_FORMS = {
    "think_answer": "<think> ... </think> <answer> ... </answer>, with nothing around or between",
    "think_summary": "<think> ... </think> summary <answer> ... </answer>, with nothing around",
    "strict": "the tags on lines of their own, as <think>\\n...\\n</think>\\n<answer>\\n...\\n</answer>",
    "boxed": "an answer in \\boxed{...} after the thinking",
}
_FILTERS = {
    "code": "a code block stands in the thinking",
    "paragraph": "a paragraph of the thinking is too long",
    "repetition": "the thinking repeats itself",
    "lines": "lines of the thinking repeat themselves",
    "language": "the thinking is not in the question's language",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    fault: str = ""
    """What the form or a filter says against it, in words."""
    right: bool | None = None
    """Whether the task's rule calls the answer right; None where it says nothing."""
    told: str = ""
    """Why it says nothing, or why it calls it wrong."""
    answer: str = ""
    """The answer as the rule read it."""
    reward: float | None = None
    """Of the stage's reward settings, for a completion like this."""

    @property
    def faults(self) -> str:
        """All that speaks against it, in a line."""
        wrong = f"the answer is wrong{': ' if self.told else ''}{self.told}" if self.right is False else ""
        return "; ".join(filter(None, (self.fault, wrong)))


def form_fault(text: str, style: FormatStyle, *, blank_thinking: bool = False) -> str:
    """What a response lacks of the asked form, in words; empty: nothing."""
    if format_reward(text, "stop", style, blank_thinking=blank_thinking):
        return ""
    if style != "boxed":
        counts = {tag: text.count(tag) for tag in TAGS}
        if wrong := [f"{tag} {count} times" for tag, count in counts.items() if count != 1]:
            return f"each tag stands once, but {', '.join(wrong)}"
        places = [text.index(tag) for tag in TAGS]
        if places == sorted(places):
            for first, last in (("<answer>", "</answer>"), ("<think>", "</think>")):
                if not text.partition(first)[2].partition(last)[0].strip() and not (
                    blank_thinking and "think" in first
                ):
                    return f"nothing stands between {first} and {last}"
    return f"the form is {_FORMS[style]}"


@dataclass(slots=True)
class Rules:
    """Of one stage of a run. Its verifier process starts when it is first asked; ``close`` ends it."""

    recipe: Recipe
    config: ColdStart
    seed: int
    _prompts: dict[str, Prompt | None] = field(default_factory=dict)
    _plan: Plan | None = None
    _lost: str = ""
    """Why the tasks cannot be built."""
    _verifier: Verifier | None = None
    _thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "rules"))
    """On Linux a verifier's process lives as long as the thread that started it."""

    def prompt(self, sample: Sample) -> Prompt | None:
        """The question that a sample answers, with its reference; None where the tasks no longer have it."""
        if sample.id not in self._prompts:
            self._prompts[sample.id] = self._found(sample)
        return self._prompts[sample.id]

    def _found(self, sample: Sample) -> Prompt | None:
        """A sample's id ends in the number its prompt was asked under: ``.../r1_zero/96.0`` is row 0 of number 96."""
        number = sample.id.rpartition("/")[2].partition(".")[0]
        if self._lost or not number.isdecimal():
            return None
        try:
            if self._plan is None:
                tasks = self.recipe.built(self.config.asked(self.recipe))
                self._plan = Plan(tasks=tasks, routes=self.config.routes, per_step=1, seed=self.seed)
            found = self._plan.prompt(int(number))
        except (R1Error, LookupError, OSError) as error:
            self._lost = first_line(error)
            return None
        return found if found.question == sample.prompt else None

    def fault(self, sample: Sample, text: str) -> str:
        """What form and filters say against a response; the filter of its length is left to the stage."""
        config = self.config
        if fault := form_fault(text, config.form, blank_thinking=config.reward.blank_thinking):
            return fault
        failed = failed_filter(replace(config.refined, tokens=0), text, sample.language, 0, sample.prompt)
        return _FILTERS.get(failed, f"{failed} does not keep it") if failed else ""

    def judge(self, sample: Sample, text: str) -> Verdict:
        """All that the stage would look at; takes as long as the task's rule does."""
        fault, prompt = self.fault(sample, text), self.prompt(sample)
        if sample.domain in self.config.judged:
            return Verdict(
                fault=fault, told=f"not judged: {self.config.judge} judged this task, and is not loaded here"
            )
        if prompt is None:
            why = self._lost or "the tasks of this run have this question no more"
            return Verdict(fault=fault, told=f"not judged: {why}")
        try:
            score = self._thread.submit(self._score, prompt, text).result()
        except R1Error as error:
            return Verdict(fault=fault, told=f"not judged: {first_line(error)}")
        if score.status != "ok":
            return Verdict(fault=fault, told=f"not judged: {score.cause or score.status}")
        right = score.parts.get("accuracy", 0.0) >= 1.0
        return Verdict(fault=fault, right=right, answer=score.answer or "", reward=score.total)

    def _score(self, prompt: Prompt, text: str) -> Score:
        if self._verifier is None:
            asked = self.config.asked(self.recipe)
            reward = replace(self.config.reward, prefilled=False)
            specs = {name: self.recipe.spec(name) for name in asked if name not in self.config.judged}
            self._verifier = Verifier(specs, dict.fromkeys(specs, reward), deadline_seconds=self.config.deadline)
        completion = Completion(token_ids=(), logprobs=(), text=text, finish="stop")
        return self._verifier.score_groups([Group(prompt=prompt, prompt_ids=(), completions=(completion,))])[0][0]

    def close(self) -> None:
        """End the verifier's process."""
        if self._verifier is not None:
            with suppress(RuntimeError):
                self._thread.submit(self._verifier.close).result()
        self._thread.shutdown()
