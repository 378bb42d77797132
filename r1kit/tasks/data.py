"""Rows of a file, a folder or a hub data set as a task: any layout that is recognised, or columns by name."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from r1kit.data.example import Example, Wanted
from r1kit.data.layouts import Examples
from r1kit.data.settings import Reading
from r1kit.data.source import open_rows
from r1kit.data.spool import Spool
from r1kit.errors import InputError
from r1kit.records import Prompt
from r1kit.tasks.listed import Listed, SplitReading
from r1kit.tasks.references import References
from r1kit.tasks.rules import Rule, grade_by
from r1kit.tasks.split import check_shares, own_cluster
from r1kit.tasks.task import Grade, Split, Task

__all__ = ["Data", "DataConfig"]

OTHER_SYSTEMS = (
    "a question with another answer behind another system prompt, one problem with it (system_asks = true makes two)"
)
TOLD = 3
"""Doubles that are named; more are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataConfig(SplitReading):
    """Its source and how it is judged."""

    rule: Literal["auto", "math", "exact", "words", "choice", "countdown", "none"] = "auto"
    """``math``: equal as mathematics, else as text. ``exact``: equal as text. ``words``: as SQuAD's exact match has it,
    case, punctuation and articles aside. ``choice``: the right letter.
    ``countdown``: an expression of the row's numbers that makes its target. ``auto``: what the layout asks for,
    ``math`` for most. ``none``: prompts without an answer, for reward models and rewards of your own."""
    history: Literal["keep", "drop"] = "keep"
    """Keep a chat's system prompt and earlier turns, for which the template must be ``chat``; or ask the last question
    alone."""
    system_asks: bool = False
    """The system prompt holds what is asked about, a text or a problem, so that one question behind two of them is two
    problems. Else it says how to answer, and the two are never in two parts."""
    language: str = "en"
    """Language of rows that name none, ISO 639-1."""

    def __post_init__(self) -> None:
        Reading.__post_init__(self)
        if not self.path:
            raise InputError('data: path is empty; write path = "FILE.jsonl" or the name of a hub data set')
        check_shares(f"data {self.path}", self.dev_share, self.test_share)


class Data(Task):
    """Rows that ask the same (case and spaces aside) or name the same cluster are never in two parts.

    The rows are read when the first prompt is asked for; a process that only grades reads the first alone.
    """

    Config = DataConfig

    def __init__(self, name: str, config: DataConfig) -> None:
        """Raises InputError and MissingError for a source that is not there or whose layout is not known."""
        self.name, self.config = name, config
        self._main = _Source(name, config, config.path, config.reading)
        self._test = self._test_source()
        self.rule: Rule | Literal["none"] = self._main.layout.rule if config.rule == "auto" else config.rule
        self.graded = self.rule != "none"

    def _test_source(self) -> _Source | None:
        config, (path, split) = self.config, self.config.test_source
        if not path or (path, split) == (config.path, config.split):
            return self._main if path else None
        return _Source(self.name, config, path, replace(config.reading, split=split))

    @property
    def _sources(self) -> list[_Source]:
        return [self._main] if self._test is None or self._test is self._main else [self._main, self._test]

    @cached_property
    def _prompts(self) -> list[Prompt] | Spool[Prompt]:
        """Those of the test source last."""
        found = (prompt for source in self._sources for prompt in source.read())
        return Spool(found) if self.config.streaming else list(found)

    @cached_property
    def _lines(self) -> Listed[int]:
        """Places among the prompts."""
        config, prompts = self.config, self._prompts
        same, first = self._test is self._main, range(self._main.count)
        tests = None if self._test is None else first if same else range(self._main.count, len(prompts))
        return Listed(
            self._main.where,
            first,
            prompts.__getitem__,
            system_asks=config.system_asks,
            test=tests,
            nothing_to_train_on=same,
            dev_share=config.dev_share,
            test_share=config.test_share,
            split_seed=config.split_seed,
            seed=config.seed,
            called="row",
        )

    def train(self, index: int) -> Prompt:
        """Every row once in each pass, each pass in an order of its own."""
        return self._prompts[self._lines.train(index)]

    def listed(self) -> Sequence[Prompt]:
        return [] if self.config.streaming else [self._prompts[place] for place in self._lines.training()]

    def held_out(self, split: Split, limit: int | None = None) -> list[Prompt]:
        """The split's rows in the order of the source. Raises InputError for a split without a row."""
        return [self._prompts[place] for place in self._lines.held_out(split, limit)]

    @property
    def languages(self) -> tuple[str, ...]:
        self.check()
        return tuple(sorted({language for source in self._sources for language in source.languages}))

    def check(self) -> None:
        """Reads every row."""
        _ = self._lines

    def grade(self, prompt: Prompt, answer: str) -> Grade:
        """1 or 0 by the rule."""
        if self.rule == "none":
            raise InputError(f"task {self.name!r} has no reference answers; leave accuracy out of the reward")
        return grade_by(self.rule, prompt, answer)

    def doubts(self) -> list[str]:
        """Lines that were skipped, questions with two answers, answers that were left out or are met by text alone."""
        self.check()
        return [line for source in self._sources for line in source.doubts()]

    def about(self) -> list[str]:
        """What was taken as what, and how many rows were read and left out; a line each."""
        self.check()
        counted = [line for source in self._sources for line in (source.counted(), *source.doubts())]
        return [*counted, *self._main.said(), f"rule: {self.rule}"]


class _Source:
    """The prompts of one source, each asked once."""

    def __init__(self, name: str, config: DataConfig, path: str, reading: Reading) -> None:
        self._name, self._language, self._keeps_history = name, config.language, config.history == "keep"
        self._system_asks = config.system_asks
        wanted: Wanted = "prompts" if config.rule == "none" else "answers"
        self._examples = Examples(open_rows(path, reading), wanted)
        self.where, self.layout = self._examples.rows.where, self._examples.layout
        self.count = self._doubles = 0
        """Prompts, and rows that ask what an earlier one asks."""
        self._differ: list[str] = []
        """Where such a row has another answer."""
        self._ids: set[int] = set()
        """Hashes alone, as of the questions."""
        self._other_systems: list[str] = []
        """Where a question has another answer than behind an earlier system prompt."""
        self._repeated: list[str] = []
        """Where an id stands that an earlier problem has."""
        self._languages: set[str] = set()
        rule = self.layout.rule if config.rule == "auto" else config.rule
        self._references = References(reading.bad_lines == "skip") if rule == "math" else None

    def read(self) -> Iterator[Prompt]:
        if self._references:
            self._references.start()
        seen: dict[int, int] = {}  # hashes alone, so that a large source does not fill the memory
        behind: dict[int, int] = {}
        for example in self._examples:
            if not self._keeps_history:
                example = replace(example, before=())
            answers = (example.answer or "", *example.also)
            if self._references and not self._references.keeps(example.where, answers):
                continue
            asked = _identity(example)
            earlier = seen.setdefault(int(asked, 16), hash(answers))
            if len(seen) == self.count:
                self._doubles += 1
                self._differ += [example.where] * (earlier != hash(answers))
                continue
            if not self._system_asks and any(turn.role == "system" for turn in example.before):
                question = int(own_cluster(example.question, example.before), 16)
                self._other_systems += [example.where] * (behind.setdefault(question, hash(answers)) != hash(answers))
            self.count += 1
            yield self._prompt(self._told_apart(example, asked), asked)
        if self._references:
            self._references.finish()

    def _told_apart(self, example: Example, asked: str) -> Example:
        """With an id of its own, where an earlier problem has the same."""
        if example.id and hash(example.id) in self._ids:
            self._repeated.append(example.where)
            return replace(example, id=f"{example.id}/{asked}")
        self._ids.add(hash(example.id))
        return example

    @property
    def languages(self) -> set[str]:
        return self._languages or {self._language}

    def _prompt(self, example: Example, asked: str) -> Prompt:
        language = example.language or self._language
        self._languages.add(language)
        choices = {"choices": list(example.choices)} if example.choices else {}
        return Prompt(
            id=f"{self._name}/{example.id or asked}",
            task=self._name,
            question=example.question,
            history=example.before or None,
            answer=example.answer,
            also=example.also,
            language=language,
            cluster=example.cluster or own_cluster(example.question, example.before, self._system_asks),
            facts={**example.facts, **choices},
        )

    def counted(self) -> str:
        """``40 problems from sums.jsonl; 2 asked again and left out``."""
        doubles = f"; {self._doubles} asked again and left out" if self._doubles else ""
        return f"{self.count} problem{'s' * (self.count != 1)} from {self.where}{doubles}"

    def doubts(self) -> list[str]:
        """What was skipped, what has two answers, what no answer can meet; a line each."""
        differing = _listed("asked before with another answer", self._differ)
        repeated = _listed("an id that an earlier problem has, now followed by a hash of the question", self._repeated)
        systems = _listed(OTHER_SYSTEMS, self._other_systems)
        doubted = self._references.doubts() if self._references else ()
        lines = (str(self._examples.rows.skipped), differing, systems, repeated, *doubted)
        return [line for line in lines if line]

    def said(self) -> list[str]:
        """What was taken as what."""
        setting = [] if "language" in self.layout.slots else [f"language: {self._language}, the setting"]
        return [*self.layout.said(), *setting]


def _listed(what: str, places: list[str]) -> str:
    """``what: f.jsonl:2, f.jsonl:5; 3 more``; empty where there is no place."""
    more = f"; {len(places) - TOLD} more" if len(places) > TOLD else ""
    return f"{what}: {', '.join(places[:TOLD])}{more}" if places else ""


def _identity(example: Example) -> str:
    """16 hex digits of what is asked, spaces aside; the same in any file and on any line."""
    turns = (*(f"{turn.role}: {turn.content}" for turn in example.before), example.question)
    text = "\0".join(" ".join(turn.split()) for turn in turns)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
