"""list_ops: the nano world's code task: a sentence of list steps, answered with one line of Python."""

from r1kit.nano.list_ops.corpus import ListOpsCorpus, ListOpsCorpusConfig
from r1kit.nano.list_ops.problems import ListOpsConfig

__all__ = ["ListOpsConfig", "ListOpsCorpus", "ListOpsCorpusConfig"]
