"""What a base is pretrained on: the nano world's corpora, each with its share of the documents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from r1kit.errors import InputError, nearest
from r1kit.nano.countdown import CountdownConfig, CountdownCorpus, CountdownCorpusConfig
from r1kit.nano.general import GeneralConfig, GeneralCorpus, GeneralCorpusConfig
from r1kit.nano.list_ops import ListOpsCorpus, ListOpsCorpusConfig
from r1kit.nano.list_ops.problems import chains
from r1kit.seeds import stream
from r1kit.tasks.code.config import CodeConfig
from r1kit.tasks.corpus import Corpus
from r1kit.tasks.task import Split, Task

__all__ = ["CorpusConfig", "MixtureCorpus", "shown"]

SPLITS: tuple[Split, ...] = ("dev", "test")

_BUILT = {
    CountdownCorpusConfig: CountdownCorpus,
    GeneralCorpusConfig: GeneralCorpus,
    ListOpsCorpusConfig: ListOpsCorpus,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusConfig:
    shares: Mapping[str, float] = field(default_factory=lambda: {"countdown": 1.0})
    """Corpus -> share of the documents, relative to the others. A corpus that is not named does not even give words."""
    countdown: CountdownCorpusConfig = field(default_factory=CountdownCorpusConfig)
    general: GeneralCorpusConfig = field(default_factory=GeneralCorpusConfig)
    list_ops: ListOpsCorpusConfig = field(default_factory=ListOpsCorpusConfig)
    seed: int = 0
    """Decides which document comes from which corpus."""

    def __post_init__(self) -> None:
        known = [f.name for f in fields(self) if f.name not in ("shares", "seed")]
        for name, share in self.shares.items():
            if name not in known:
                raise InputError(f"corpus.shares names {name!r}; corpora are {', '.join(known)}.{nearest(name, known)}")
            if not share > 0:
                raise InputError(f"corpus.shares.{name} = {share}: must be above 0; leave out what has no share")
        if not self.shares:
            raise InputError(f"corpus.shares is empty; corpora are {', '.join(known)}")

    def part(self, name: str) -> Any:
        """The settings of a corpus, None where it has no share."""
        return getattr(self, name) if name in self.shares else None


def shown(config: CorpusConfig, task: Task, settings: object) -> int:
    """How many clusters of held-out problems of a task the corpora may show: none, in a sound recipe."""
    held = {prompt.cluster for split in SPLITS for prompt in task.held_out(split)}
    if isinstance(settings, CountdownConfig) and "countdown" in config.shares:
        return sum(config.countdown.shows(tuple(map(int, cluster.split()))) for cluster in held)
    if isinstance(settings, GeneralConfig) and "general" in config.shares:
        return sum(config.general.shows(cluster) for cluster in held)
    if isinstance(settings, CodeConfig) and settings.generator == "list_ops" and "list_ops" in config.shares:
        own = config.list_ops.problems
        return len(held - {" ".join(chain) for split in SPLITS for chain in chains(own, split)})
    return 0


class MixtureCorpus:
    """An endless stream of documents; number ``index`` is a function of the settings and the index alone."""

    def __init__(self, config: CorpusConfig) -> None:
        self.config = config
        total = sum(config.shares.values())
        self._shares = [share / total for share in config.shares.values()]
        self._corpora: list[Corpus] = [_BUILT[type(config.part(name))](config.part(name)) for name in config.shares]

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
