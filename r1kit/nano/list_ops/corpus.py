"""Pretraining text for list_ops: sentences worked into Python in four styles, and sheets of single steps.

A problem document in tags reads ``User: list descending then first 2 Assistant: <think> try 7 3 9 descending
` sorted ( xs ) [::-1] ` 9 7 3 yes then first 2 ` sorted ( xs ) [::-1] [: 2 ] ` 9 7 yes </think> <answer> sorted ( xs )
[::-1] [: 2 ] </answer>``. After a step's words comes the expression so far, a copy of the last one with one step around
it, so that the answer is a copy of the last; then what it makes of the example, judged against the step's words. The
four styles, and how many answers are right where a sentence has three steps:

=====  ==================================================================================  =============
style  content                                                                             right answers
=====  ==================================================================================  =============
terse  no work: about a third of the steps as asked, the others at random                  .10
short  step by step without an example, often stopping before the last step                .25
few    step by step on an example; a slip is seen, and left                                .66
long   step by step on an example; a slip is seen, and the step written again              1.00
=====  ==================================================================================  =============

Held-out op chains never occur, neither asked nor written. That mixing languages is more common in longer styles is a
choice of this corpus, as it is Countdown's; the words of the steps themselves stay in the prompt's language.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from r1kit.errors import InputError
from r1kit.nano.list_ops.problems import (
    LIMIT,
    ListOpsConfig,
    Problem,
    draw_example,
    draw_problem,
    draw_step,
    held_chains,
    shows,
)
from r1kit.nano.list_ops.steps import OPS, THEN, Expression, Step, expression, extend, question
from r1kit.nano.list_ops.words import vocabulary
from r1kit.nano.styles import STYLES, check_sum, languages, pick, weighted
from r1kit.nano.words import ASSISTANT, CHINESE, USER
from r1kit.records import Prompt
from r1kit.seeds import stream
from r1kit.tasks.corpus import Corpus

__all__ = ["STYLES", "ListOpsCorpus", "ListOpsCorpusConfig"]

_TURNS = (("wait",), ("wait",), ("hmm", "wait"))
_CHINESE = {**CHINESE, THEN["en"]: THEN["zh"]}
_ATTEMPTS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ListOpsCorpusConfig:
    problems: ListOpsConfig = field(default_factory=ListOpsConfig)
    """The task's settings: the same split and the same steps."""
    shares: Mapping[str, float] = field(
        default_factory=lambda: {"terse": 0.28, "short": 0.30, "few": 0.20, "long": 0.22}
    )
    """Share of each style among the problem documents."""
    slips: Mapping[str, float] = field(
        default_factory=lambda: {"terse": 0.65, "short": 0.12, "few": 0.15, "long": 0.12}
    )
    """Chance that a step is written wrong, by style; in ``terse`` it becomes any step at all."""
    languages: Mapping[str, tuple[float, ...]] = field(default_factory=languages)
    """By style: shares of documents whose control words are in the prompt's language, in the other one, mixed."""
    tag_share: float = 0.35
    """Share of the problem documents in tags, the same for every style, so that tags do not stand for length."""
    sheet_share: float = 0.15
    """Share of documents that are sheets of single steps on lists: ``7 3 9 first 2 ` xs [: 2 ] ` 7 3``."""
    seed: int = 0

    def __post_init__(self) -> None:
        for key, table in (("shares", self.shares), ("slips", self.slips), ("languages", self.languages)):
            if set(table) != set(STYLES):
                raise InputError(f"list_ops corpus: {key} has keys {sorted(table)}; needed are {sorted(STYLES)}")
        check_sum("list_ops corpus: shares", list(self.shares.values()))
        for style, kinds in self.languages.items():
            if len(kinds) != 3:
                raise InputError(f"list_ops corpus: languages.{style} needs 3 shares: same, other, mixed")
            check_sum(f"list_ops corpus: languages.{style}", kinds)
        shares = {"tag_share": self.tag_share, "sheet_share": self.sheet_share}
        for key, value in (*shares.items(), *((f"slips.{style}", slip) for style, slip in self.slips.items())):
            if not 0 <= value <= 1:
                raise InputError(f"list_ops corpus: {key} = {value}; allowed is 0..1")


class _Writer:
    """Writes the working of one document."""

    def __init__(self, rng: Random, problem: Problem, kind: int, slip: float, config: ListOpsCorpusConfig) -> None:
        """``kind``: control words in the prompt's language (0), in the other (1), mixed (2)."""
        self.rng, self.problem, self.slip, self.config = rng, problem, slip, config
        self.mixed, self.chinese = kind == 2, (problem.language == "zh") == (kind == 0)
        self.words: list[str] = []

    def say(self, word: str) -> None:
        chinese = self.rng.random() < 0.5 if self.mixed else self.chinese
        self.words.append(_CHINESE[word] if chinese else word)

    def work(self, style: str) -> str:
        """Write the style's working; the expression that it ends on, never of a held-out program."""
        slip = self.slip
        for attempt in range(_ATTEMPTS + 1):
            self.words, self.slip = [], slip if attempt < _ATTEMPTS else 0.0
            steps = self.terse() if style == "terse" else self.straight() if style == "short" else self.traced(style)
            if steps is not None and shows(self.config.problems, steps):
                return expression(steps)
        raise AssertionError(f"{self.problem} is held out")

    def terse(self) -> tuple[Step, ...]:
        """No work: each step becomes any step at all by the chance of a slip, often with the same number."""
        steps = []
        for step in self.problem.steps:
            if self.rng.random() < self.slip:
                drawn = draw_step(self.rng, pick(self.rng, self.config.problems.ops))
                same = drawn.number and step.number and self.rng.random() < 0.7
                step = Step(drawn.op, step.number) if same else drawn
            steps.append(step)
        return tuple(steps)

    def straight(self) -> tuple[Step, ...]:
        """Step by step without an example, as far as any of the steps."""
        steps, made, asked_for = [], Expression(), self.problem.steps
        self.say("try")
        for place, asked in enumerate(asked_for[: 1 + int(self.rng.random() * len(asked_for))]):
            if place:
                self.say("then")
            steps.append(self.mistake(asked) if self.rng.random() < self.slip else asked)
            made = extend(made, steps[-1])
            self.write(asked, made)
        return tuple(steps)

    def traced(self, style: str) -> tuple[Step, ...] | None:
        """Step by step on the example; None if a slip that was left leads out of range."""
        steps, made, values = tuple[Step, ...](), Expression(), list(self.problem.example)
        self.say("try")
        self.words += map(str, values)
        for place, asked in enumerate(self.problem.steps):
            if place:
                self.say("then")
            step = self.visible_slip(steps, asked, values)
            while step is not None and style == "long":
                self.write(asked, extend(made, step), step.run(values))
                for word in ("no", *pick(self.rng, _TURNS)):
                    self.say(word)
                step = self.visible_slip(steps, asked, values)
            steps = (*steps, step or asked)
            made, values = extend(made, steps[-1]), steps[-1].run(values)
            if not _fits(values):
                return None
            self.write(asked, made, values)
            self.say("no" if step else "yes")
        return steps

    def visible_slip(self, done: tuple[Step, ...], asked: Step, values: list[int]) -> Step | None:
        """By the chance of a slip, a wrong step that the example shows; never one that makes a held-out program."""
        if self.rng.random() >= self.slip:
            return None
        for _ in range(_ATTEMPTS):
            wrong = self.mistake(asked)
            made = wrong.run(values)
            if _fits(made) and made != asked.run(values) and shows(self.config.problems, (*done, wrong)):
                return wrong
        return None

    def mistake(self, asked: Step) -> Step:
        """An op that is easily mistaken for the one asked, or another number."""
        slips = [op for op in OPS[asked.op].slips if op in self.config.problems.ops]
        if asked.number and (not slips or self.rng.random() < 0.3):
            return draw_step(self.rng, asked.op)
        if not slips:
            return draw_step(self.rng, pick(self.rng, self.config.problems.ops))
        wrong = draw_step(self.rng, pick(self.rng, slips))
        return Step(wrong.op, asked.number) if wrong.number and asked.number else wrong

    def write(self, asked: Step, made: Expression, values: Sequence[int] = ()) -> None:
        self.words += [asked.phrase(self.problem.language), "`", made.text, "`", *map(str, values)]


def _fits(values: Sequence[int]) -> bool:
    return bool(values) and max(values) <= LIMIT


class ListOpsCorpus(Corpus):
    """An endless stream of documents; number ``index`` is a function of the settings and the index alone."""

    Config = ListOpsCorpusConfig

    def __init__(self, config: ListOpsCorpusConfig) -> None:
        self.config = config

    def document(self, index: int) -> str:
        """Words with one space between, without ``<bos>`` and ``<eos>``: the pretrain stage puts those around it."""
        config, rng = self.config, stream(self.config.seed, "list_ops/corpus", index)
        if rng.random() < config.sheet_share:
            return self._sheet(rng)
        problem = draw_problem(rng, config.problems)
        style = STYLES[weighted(rng, [config.shares[style] for style in STYLES])]
        asked = question(problem.steps, problem.language)
        return f"{USER} {asked} {ASSISTANT} {self.response(rng, problem, style)}"

    def response(self, rng: Random, problem: Problem, style: str) -> str:
        """What the assistant writes in a problem document of a style."""
        config = self.config
        writer = _Writer(rng, problem, weighted(rng, config.languages[style]), config.slips[style], config)
        tagged = rng.random() < config.tag_share
        answer = writer.work(style)
        if tagged:
            return " ".join(("<think>", *writer.words, "</think> <answer>", answer, "</answer>"))
        writer.say("answer")
        return " ".join((*writer.words, "`", answer, "`"))

    def shows(self, prompt: Prompt) -> bool:
        """Whether the chain of ops is one that documents may ask: those of a task of the same settings may not."""
        return "steps" in prompt.facts and tuple(prompt.cluster.split()) not in held_chains(self.config.problems)

    def vocabulary(self) -> list[str]:
        return vocabulary(self.config.problems)

    def _sheet(self, rng: Random) -> str:
        """2 to 5 single steps, each on a list of its own."""
        language, words = "zh" if rng.random() < self.config.problems.chinese_share else "en", list[str]()
        for _ in range(2 + int(rng.random() * 4)):
            step = draw_step(rng, pick(rng, self.config.problems.ops))
            example = draw_example(rng, (step,))
            if example is not None:
                made = [*map(str, example), step.phrase(language), "`", expression((step,)), "`"]
                words += [*made, *map(str, step.run(list(example)))]
        return " ".join(words)
