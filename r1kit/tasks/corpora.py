"""What a base is pretrained on: corpora by name, or in a user's file, each with its share of the documents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from r1kit.errors import InputError, nearest
from r1kit.records import Prompt
from r1kit.registry import find, is_reference
from r1kit.seeds import stream
from r1kit.structure import structure
from r1kit.tasks.corpus import Corpus
from r1kit.tasks.task import Split, Task

__all__ = ["CORPORA", "CorpusConfig", "MixtureCorpus", "build_corpus", "shown"]

CORPORA: dict[str, str] = {
    "countdown": "r1kit.nano.countdown.corpus:CountdownCorpus",
    "forms": "r1kit.nano.forms.corpus:FormsCorpus",
    "general": "r1kit.nano.general.corpus:GeneralCorpus",
    "list_ops": "r1kit.nano.list_ops.corpus:ListOpsCorpus",
}
"""Corpus -> class, with a frozen ``Config`` and built as ``cls(config)``."""
SPLITS: tuple[Split, ...] = ("dev", "test")
_OWN = ("shares", "seed")


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusConfig:
    """Written as ``shares = {NAME = SHARE}`` beside one table of settings a corpus, ``[... corpus.NAME]``."""

    shares: Mapping[str, float] = field(default_factory=dict)
    """Corpus, or ``FILE.py:NAME``, -> share of the documents, relative to the others. A corpus that is not named does
    not even give words."""
    seed: int = 0
    """Decides which document comes from which corpus."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Corpus -> its settings; those that are left out have their defaults."""

    def __post_init__(self) -> None:
        for name, share in self.shares.items():
            _class(name, "corpus.shares")
            if not share > 0:
                raise InputError(f"corpus.shares.{name} = {share}: must be above 0; leave out what has no share")
        made = {name: _class(name, "corpus.shares").Config() for name in self.shares if name not in self.settings}
        object.__setattr__(self, "settings", {**made, **self.settings})

    @classmethod
    def from_table(cls, table: Mapping[str, Any], where: str) -> CorpusConfig:
        """From a recipe's table, where each corpus's settings stand under its name."""
        settings = {}
        for name in table:
            if name in _OWN:
                continue
            if name not in CORPORA and not is_reference(name):
                known = [*_OWN, *CORPORA]
                raise InputError(
                    f"{where}: unknown key {name!r}; known keys are {', '.join(known)}.{nearest(name, known)}"
                )
            settings[name] = structure(_class(name, where).Config, table[name], f"{where}.{name}")
        own: _Own = structure(_Own, {name: table[name] for name in _OWN if name in table}, where)
        return cls(shares=own.shares, seed=own.seed, settings=settings)

    def as_table(self) -> dict[str, Any]:
        """What ``from_table`` reads back."""
        return {"shares": self.shares, "seed": self.seed, **self.settings}

    def check(self, where: str) -> None:
        """Raise InputError where no corpus has a share."""
        if not self.shares:
            raise InputError(
                f"{where}.shares names no corpus; write for example shares = {{countdown = 1.0}}; corpora are "
                f"{', '.join(CORPORA)}, or FILE.py:NAME for one of your own"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Own:
    """The keys of the table that are not a corpus."""

    shares: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0


def _class(name: str, where: str) -> Any:
    found = find(name, CORPORA, "corpus", where)
    if not is_reference(name):
        return found
    from r1kit.tasks.adapt import adapted_corpus

    return adapted_corpus(found, name)


def shown(corpus: Corpus, task: Task) -> int:
    """How many clusters of held-out problems of a task a corpus may show: none, in a sound recipe."""
    held = {prompt.cluster: prompt for split in SPLITS for prompt in task.held_out(split)}
    return sum(corpus.shows(prompt) for prompt in held.values())


def build_corpus(config: CorpusConfig) -> MixtureCorpus:
    """The corpus that a config describes."""
    return MixtureCorpus(config)


class MixtureCorpus(Corpus):
    """An endless stream of documents; number ``index`` is a function of the settings and the index alone."""

    def __init__(self, config: CorpusConfig) -> None:
        self.config = config
        config.check("corpus")
        total = sum(config.shares.values())
        self._shares = [share / total for share in config.shares.values()]
        self._corpora: list[Corpus] = [_class(name, "corpus.shares")(config.settings[name]) for name in config.shares]

    def document(self, index: int) -> str:
        """Words with one space between, without ``<bos>`` and ``<eos>``."""
        if len(self._corpora) == 1:
            return self._corpora[0].document(index)
        draw = stream(self.config.seed, "corpus", index).random()
        for corpus, share in zip(self._corpora, self._shares, strict=True):
            draw -= share
            if draw < 0:
                return corpus.document(index)
        return self._corpora[-1].document(index)

    def vocabulary(self) -> list[str]:
        return list(dict.fromkeys(word for corpus in self._corpora for word in corpus.vocabulary()))

    def shows(self, prompt: Prompt) -> bool:
        return any(corpus.shows(prompt) for corpus in self._corpora)
