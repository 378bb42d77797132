"""Settings of the nano world's pretraining text on Countdown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from r1kit.errors import InputError
from r1kit.nano.countdown.problems import CountdownConfig, trains_on
from r1kit.nano.styles import STYLES, check_sum, languages

__all__ = ["CountdownCorpusConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CountdownCorpusConfig:
    """Defaults: the best base of those that ``docs/LOG.md`` lists."""

    problems: CountdownConfig = field(default_factory=CountdownConfig)
    """The task's settings: the same split and the same range of numbers. Three numbers, all used, no division."""
    shares: Mapping[str, float] = field(
        default_factory=lambda: {"terse": 0.28, "short": 0.30, "few": 0.20, "long": 0.22}
    )
    """Share of each style among the problem documents."""
    slips: Mapping[str, float] = field(
        default_factory=lambda: {"terse": 0.0, "short": 0.03, "few": 0.015, "long": 0.002}
    )
    """Chance that a step's result is written wrong, by style."""
    languages: Mapping[str, tuple[float, ...]] = field(default_factory=languages)
    """By style: shares of documents whose control words are in the prompt's language, in the other one, mixed."""
    korean: tuple[float, ...] = (0.3, 0.4, 0.3)
    """The same of the documents whose prompt is Korean (``problems.korean_share``), in every style; the other language
    is English: a base that has seen little of a language reasons in one that it has seen more of."""
    systematic_share: float = 0.95
    """Share of the few and long documents that try first pairs in order: numbers 1 and 2, 1 and 3, 2 and 3 of the
    prompt, + - * on each, larger number first. The others try them in random order."""
    rotated_share: float = 1.0
    """Share of those in order that begin at any pair and go round, so that from every pair there is a next one; the
    others begin at the first."""
    wide_share: float = 0.3
    """Share of the problem documents with a number above the task's highest, up to twice as high: so many multisets
    that rules are learnt, not multisets. None of them can be a held-out one."""
    wide: CountdownConfig | None = None
    """A harder task (``above`` = the task's highest) whose held-out multisets these documents leave out."""
    check_share: float = 0.3
    """Chance that a hit is computed a second time after 'check'."""
    tag_share: float = 0.35
    """Share of the problem documents in tags, the same for every style, so that tags do not stand for length."""
    double_share: float = 0.1
    """Share of the problem documents that hold two problems, worked in one style, so that a base learns to go on as it
    was shown."""
    worded_share: float = 0.0
    """Share of the problem documents whose question has one to twelve unrelated words before it or after it. A base
    that was only ever asked in one way may be right under no other, and what is never right RL cannot reward."""
    filler_share: float = 0.06
    """Share of documents that are unrelated words."""
    fact_share: float = 0.14
    """Share of documents that are sheets of arithmetic facts."""
    comparison_share: float = 0.05
    """Share of documents that are sheets of comparisons: ``make 34 try 40 high 22 low 34 yes``."""
    seed: int = 0

    def __post_init__(self) -> None:
        problems = self.problems
        if (problems.numbers, problems.most or 3, problems.divide, problems.use_all) != (3, 3, "none", True):
            raise InputError(
                f"countdown corpus: numbers = {problems.numbers}, most = {problems.most}, divide = "
                f"{problems.divide!r}, use_all = {problems.use_all}; its traces are written for 3 numbers, all used, "
                "without division"
            )
        if problems.question or problems.lowest != 1:
            raise InputError("countdown corpus: question and lowest of its problems cannot be set")
        for key, table in (("shares", self.shares), ("slips", self.slips), ("languages", self.languages)):
            _check_styles(key, table)
        for style, value in self.slips.items():
            _check_share(f"slips.{style}", value)
        check_sum("countdown corpus: shares", list(self.shares.values()))
        for style, kinds in self.languages.items():
            if len(kinds) != 3:
                raise InputError(f"countdown corpus: languages.{style} needs 3 shares: same, other, mixed")
            check_sum(f"countdown corpus: languages.{style}", kinds)
        if len(self.korean) != 3:
            raise InputError("countdown corpus: korean needs 3 shares: same, other, mixed")
        check_sum("countdown corpus: korean", self.korean)
        sheets = self.filler_share + self.fact_share + self.comparison_share
        _check_share("filler_share + fact_share + comparison_share", sheets)
        _check_share(
            "min(filler_share, fact_share, comparison_share)",
            min(self.filler_share, self.fact_share, self.comparison_share),
        )
        for key, value in (
            ("systematic", self.systematic_share),
            ("rotated", self.rotated_share),
            ("wide", self.wide_share),
            ("check", self.check_share),
            ("tag", self.tag_share),
            ("double", self.double_share),
            ("worded", self.worded_share),
        ):
            _check_share(f"{key}_share", value)
        if self.wide and (self.wide.above, self.wide.highest) != (problems.highest, 2 * problems.highest):
            raise InputError(
                f"countdown corpus: wide.above = {self.wide.above} and wide.highest = {self.wide.highest}; wide "
                f"problems have a number above {problems.highest} and none above {2 * problems.highest}"
            )
        if self.wide_share and 2 * problems.highest > problems.limit:
            raise InputError(
                f"countdown corpus: wide_share = {self.wide_share} draws numbers up to 2 * highest = "
                f"{2 * problems.highest}, above limit = {problems.limit}; raise limit or set wide_share = 0"
            )

    def shows(self, multiset: tuple[int, ...]) -> bool:
        """Whether problem documents may ask these numbers, given in ascending order."""
        problems = self.problems
        if len(multiset) != problems.numbers or multiset[-1] > 2 * problems.highest:
            return False
        if multiset[-1] <= problems.highest:
            return trains_on(problems, multiset)
        return self.wide_share > 0 and (self.wide is None or trains_on(self.wide, multiset))


def _check_styles(key: str, table: Mapping[str, object]) -> None:
    if set(table) != set(STYLES):
        raise InputError(f"countdown corpus: {key} has keys {sorted(table)}; needed are exactly {sorted(STYLES)}")


def _check_share(key: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise InputError(f"countdown corpus: {key} = {value}; allowed is 0..1")
