"""The nano world's pretraining text: Countdown problems worked in four styles, fact sheets and filler.

A problem document reads ``User: use 11 8 3 make 9 Assistant: <think> try 11 + 8 = 19 , 19 - 3 = 16 high wait 11 - 8 = 3
, 3 + 3 = 6 low 3 * 3 = 9 yes </think> <answer> ( 11 - 8 ) * 3 </answer>``, or without tags (``... answer ( 11 - 8 ) * 3``).
Every step is one operation with both of its numbers; the answer is the expression, in brackets where it needs them. Some
documents hold two problems under the heading ``examples``, worked in one style, in tags or not. The four styles:

=====  ==================================================================================  =============
style  content                                                                             right answers
=====  ==================================================================================  =============
terse  no work: a random first pair and last step                                          .09
short  one first pair, half of the time with a random last step; commits whatever it made  .14
few    two or three first pairs, then commits                                              .45
long   first pairs until a hit or the end                                                  .99
=====  ==================================================================================  =============

After a first pair come the last steps worth trying on it, each judged low or high; 'wait' marks a change of first pair.
Which last steps are worth trying follows from comparing the pair's value, and the third number, with the target alone.
Held-out number multisets never occur. That mixing languages is more common in longer styles is a choice of this corpus,
and it is what makes language consistency fall under R1-Zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from random import Random

from r1kit.answers.expression import Step, written
from r1kit.errors import InputError
from r1kit.nano.countdown.problems import CountdownConfig, Problem, draw_problem, draw_wide_problem, question, trains_on
from r1kit.nano.countdown.rules import Rules, combine
from r1kit.nano.styles import STYLES, check_sum, languages, pick, weighted
from r1kit.nano.words import ASSISTANT, CHINESE, EXAMPLES, FILLER, TAGS, USER
from r1kit.records import Prompt
from r1kit.seeds import stream
from r1kit.tasks.corpus import Corpus

__all__ = ["STYLES", "CountdownCorpus", "CountdownCorpusConfig", "vocabulary"]

_SLIPS = (-2, -1, 1, 2, 10, -10)
_TURNS = (("wait",), ("wait",), ("hmm", "wait"), ("no", "wait"))


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


@dataclass(frozen=True, slots=True)
class _Pair:
    """A first step: two of the three numbers, the larger first."""

    left: int
    op: str
    right: int
    rest: int
    """The third number."""


@lru_cache(maxsize=16384)
def _first_pairs(numbers: tuple[int, ...], rules: Rules) -> tuple[_Pair, ...]:
    """First steps in systematic order, each once, without those that leave the range. At most 9."""
    found: dict[_Pair, None] = {}
    for one, two in ((0, 1), (0, 2), (1, 2)):
        left, right = max(numbers[one], numbers[two]), min(numbers[one], numbers[two])
        for op in rules.ops:
            if combine(left, op, right, rules) is not None:
                found[_Pair(left, op, right, numbers[3 - one - two])] = None
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Last:
    """A last step: a pair's value and the third number."""

    op: str
    rest_first: bool = False
    """The third number minus the value, for a product: ``12 - 2 * 3``. Of sums and differences another pair makes it."""

    def sides(self, value: int, rest: int) -> tuple[int, int]:
        return (rest, value) if self.rest_first else (value, rest)


_FROM_REST = _Last("-", rest_first=True)


def _last_steps(pair: _Pair, value: int, rules: Rules, target: int | None = None) -> list[_Last]:
    """Last steps within the range on a first pair's value: all, or those worth trying for a target, in order.

    Below the value only ``-`` leads; above it ``+``, and ``*`` where ``+`` falls short. On the value itself the rest
    must change nothing. The rest minus a product comes last, below the rest. No solution within 0..limit is missed.
    """
    rest = pair.rest
    if target is None:
        ops = list(rules.ops)
    elif target < value:
        ops = ["-"]
    elif target == value:
        ops = ["*"] if rest == 1 or value == 0 else ["-"]
    elif (value + rest < target and value > 1 and rest > 1) or (value + rest > target and value == 1):
        ops = ["+", "*"]
    else:
        ops = ["+"]
    steps = [_Last(op) for op in ops]
    if pair.op == "*" and (target is None or target < rest):
        steps.append(_FROM_REST)
    allowed = []
    for step in steps:
        left, right = step.sides(value, rest)
        if step.op in rules.ops and combine(left, step.op, right, rules) is not None:
            allowed.append(step)
    return allowed


def _expression(pair: _Pair, last: _Last) -> str:
    """``( 11 - 8 ) * 3``, ``12 - 2 * 3``."""
    made = Step(pair.op, pair.left, pair.right)
    return written(Step(last.op, pair.rest, made) if last.rest_first else Step(last.op, made, pair.rest))


class _Writer:
    """Writes the working of one document."""

    def __init__(self, rng: Random, problem: Problem, kind: int, slip: float, config: CountdownCorpusConfig) -> None:
        """``kind``: control words in the prompt's language (0), in the other (1), mixed (2)."""
        self.rng, self.problem, self.slip, self.config = rng, problem, slip, config
        self.rules = config.problems.rules
        self.mixed, self.chinese = kind == 2, (problem.language == "zh") == (kind == 0)
        self.words: list[str] = []
        self.answer: str | None = None
        """The expression that the working ended on."""

    def say(self, word: str) -> None:
        chinese = self.rng.random() < 0.5 if self.mixed else self.chinese
        self.words.append(CHINESE[word] if chinese else word)

    def step(self, left: int, op: str, right: int, slip: float) -> int:
        """Write one step; its result as written."""
        result = combine(left, op, right, self.rules)
        assert isinstance(result, int)
        if slip and self.rng.random() < slip:
            result = max(0, min(self.rules.limit, result + pick(self.rng, _SLIPS)))
        self.words.append(f"{left} {op} {right} = {result}")
        return result

    def work(self, style: str) -> None:
        """Try the style's first pairs until one hits."""
        ended = True
        for place, pair in enumerate(self.order(style)):
            for word in ("try",) if place == 0 else pick(self.rng, _TURNS) if ended else _TURNS[-1]:
                self.say(word)
            before = self.answer
            self.answer = None
            if self.branch(pair, guess=style == "short" and self.rng.random() < 0.5):
                return
            ended = self.answer is not None
            self.answer = self.answer or before
        if self.rng.random() < 0.5:
            self.say("so")

    def order(self, style: str) -> Sequence[_Pair]:
        pairs = _first_pairs(self.problem.numbers, self.rules)
        if style == "short":
            return (pick(self.rng, pairs),)
        if self.rng.random() >= self.config.systematic_share:
            pairs = tuple(self.rng.sample(pairs, len(pairs)))
        elif self.rng.random() < self.config.rotated_share:
            first = int(self.rng.random() * len(pairs))
            pairs = pairs[first:] + pairs[:first]
        return pairs if style == "long" else pairs[: 2 + int(self.rng.random() * 2)]

    def branch(self, pair: _Pair, guess: bool) -> bool:
        """One first pair and the last steps on it; whether one hit. A guess is any one last step within the range."""
        value = self.step(pair.left, pair.op, pair.right, self.slip)
        steps = _last_steps(pair, value, self.rules, None if guess else self.problem.target)
        if guess and steps:
            steps = [pick(self.rng, steps)]
        for turn, last in enumerate(steps):
            if not turn:
                self.words.append(",")
            if self.leaf(pair, value, last):
                return True
        return False

    def leaf(self, pair: _Pair, value: int, last: _Last) -> bool:
        target, (left, right) = self.problem.target, last.sides(value, pair.rest)
        result = self.step(left, last.op, right, self.slip)
        self.answer = _expression(pair, last)
        if result != target:
            self.say("low" if result < target else "high")
            return False
        self.say("yes")
        return self.rng.random() >= self.config.check_share or self.recheck(pair, last)

    def recheck(self, pair: _Pair, last: _Last) -> bool:
        """Compute a hit again, with a third of the slips; whether it is one still."""
        self.say("check")
        value = self.step(pair.left, pair.op, pair.right, self.slip / 3)
        left, right = last.sides(value, pair.rest)
        result = None
        if combine(left, last.op, right, self.rules) is not None:
            self.words.append(",")
            result = self.step(left, last.op, right, self.slip / 3)
        self.say("yes" if result == self.problem.target else "no")
        return result == self.problem.target

    def guessed(self) -> str:
        """Any first pair and any last step on it."""
        while True:
            pair = pick(self.rng, _first_pairs(self.problem.numbers, self.rules))
            value = combine(pair.left, pair.op, pair.right, self.rules)
            assert isinstance(value, int)
            if steps := _last_steps(pair, value, self.rules):
                return _expression(pair, pick(self.rng, steps))


class CountdownCorpus(Corpus):
    """An endless stream of documents; number ``index`` is a function of the settings and the index alone."""

    Config = CountdownCorpusConfig

    def __init__(self, config: CountdownCorpusConfig) -> None:
        self.config = config

    def document(self, index: int) -> str:
        """Words with one space between, without ``<bos>`` and ``<eos>``: the pretrain stage puts those around it."""
        config, rng = self.config, stream(self.config.seed, "countdown/corpus", index)
        draw = rng.random() - config.filler_share
        if draw < 0:
            return " ".join(pick(rng, FILLER) for _ in range(5 + int(rng.random() * 16)))
        draw -= config.fact_share
        if draw < 0:
            return self._facts(rng)
        if draw < config.comparison_share:
            return self._comparisons(rng)
        style = STYLES[weighted(rng, [config.shares[style] for style in STYLES])]
        tagged = rng.random() < config.tag_share
        if rng.random() < config.double_share:
            return " ".join((EXAMPLES, self._turn(rng, style, tagged), self._turn(rng, style, tagged)))
        return self._turn(rng, style, tagged)

    def _turn(self, rng: Random, style: str, tagged: bool) -> str:
        config = self.config
        wide = rng.random() < config.wide_share
        problem = draw_wide_problem(rng, config.problems, config.wide) if wide else draw_problem(rng, config.problems)
        return f"{USER} {question(problem)} {ASSISTANT} {self.response(rng, problem, style, tagged)}"

    def response(self, rng: Random, problem: Problem, style: str, tagged: bool) -> str:
        """What the assistant writes in a problem document of a style."""
        config = self.config
        writer = _Writer(rng, problem, weighted(rng, config.languages[style]), config.slips[style], config)
        if style != "terse":
            writer.work(style)
        answer = writer.answer or writer.guessed()
        if tagged:
            return " ".join(("<think>", *writer.words, "</think> <answer>", answer, "</answer>"))
        writer.say("answer")
        return " ".join((*writer.words, answer))

    def shows(self, prompt: Prompt) -> bool:
        """Whether documents may ask these numbers, of any task that gives some."""
        numbers = prompt.facts.get("numbers")
        return numbers is not None and self.config.shows(tuple(sorted(numbers)))

    def vocabulary(self) -> list[str]:
        return vocabulary(self.config.problems)

    def _facts(self, rng: Random) -> str:
        """3 to 8 right steps, any first number, a second one as problems give them."""
        rules, highest = self.config.problems.rules, self.config.problems.highest * (2 if self.config.wide_share else 1)
        facts: list[str] = []
        count = 3 + int(rng.random() * 6)
        while len(facts) < count:
            left, right = int(rng.random() * (rules.limit + 1)), 1 + int(rng.random() * highest)
            op = pick(rng, rules.ops)
            result = combine(left, op, right, rules)
            if result is not None:
                facts.append(f"{left} {op} {right} = {result}")
        return " ".join(facts)

    def _comparisons(self, rng: Random) -> str:
        """4 to 10 values judged against a target; a third of them hit, most others are near."""
        limit, chinese = self.config.problems.limit, rng.random() < 0.5
        said = [CHINESE[word] if chinese else word for word in ("make", "try", "low", "high", "yes")]
        make, attempt, low, high, yes = said
        target = int(rng.random() * (limit + 1))
        words = [make, str(target), attempt]
        for _ in range(4 + int(rng.random() * 7)):
            draw = rng.random()
            value = target if draw < 1 / 3 else int(rng.random() * (limit + 1))
            if 1 / 3 <= draw < 2 / 3:
                value = max(0, min(limit, target + pick(rng, _SLIPS)))
            words += [str(value), yes if value == target else low if value < target else high]
        return " ".join(words)


def vocabulary(config: CountdownConfig) -> list[str]:
    """Every word that the corpus and the task's prompts can hold: tags, speakers, operators, numbers, two languages."""
    numbers = [str(number) for number in range(config.limit + 1)]
    words = [*TAGS, USER, ASSISTANT, EXAMPLES, *config.ops, "=", "(", ")", ",", *numbers, *CHINESE, *CHINESE.values(), *FILLER]
    return list(dict.fromkeys(words))
