"""The words of list_ops: Countdown's tags, speakers, numbers and control words, the steps' words, and Python's."""

from __future__ import annotations

from r1kit.nano.list_ops.problems import LIMIT, ListOpsConfig
from r1kit.nano.list_ops.steps import ASK, OPS, THEN
from r1kit.nano.words import ASSISTANT, CHINESE, TAGS, USER

__all__ = ["vocabulary"]

_PLACEHOLDERS = ("E", "N")


def vocabulary(config: ListOpsConfig) -> list[str]:
    """Every word that the corpus and the task's prompts can hold, in a fixed order, each once."""
    ops = [OPS[op] for op in config.ops]
    numbers = [str(number) for number in range(LIMIT + 1)]
    said = " ".join(part for op in ops for part in (op.english, op.chinese, op.code)).split()
    words = [*TAGS, USER, ASSISTANT, *numbers, *CHINESE, *CHINESE.values(), *ASK.values(), *THEN.values(), "`"]
    code = ["xs", "(", ")", "[", "]"]
    return list(dict.fromkeys((*words, *(word for word in said if word not in _PLACEHOLDERS), *code)))
