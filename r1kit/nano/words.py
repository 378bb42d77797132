"""The words of the nano world's two languages, and of a third that a corpus may show a little of. Arithmetic is shared;
these are what language consistency looks at."""

from __future__ import annotations

__all__ = ["ASSISTANT", "CHINESE", "EXAMPLES", "FILLER", "KOREAN", "TAGS", "USER", "both", "every", "spelled"]

USER, ASSISTANT = "User:", "Assistant:"
EXAMPLES = "examples"
"""The heading of a document that holds more than one problem."""
TAGS = ("<think>", "</think>", "<answer>", "</answer>")

CHINESE = {
    "use": "用",
    "make": "得",
    "try": "试",
    "wait": "等等",
    "hmm": "嗯",
    "no": "不",
    "yes": "对",
    "low": "小了",
    "high": "大了",
    "so": "所以",
    "check": "检查",
    "again": "再",
    "answer": "答",
}
"""English control word -> Chinese control word."""

KOREAN = {
    "use": "사용",
    "make": "만들기",
    "try": "시도",
    "wait": "잠깐",
    "hmm": "음",
    "no": "아니",
    "yes": "맞아",
    "low": "작다",
    "high": "크다",
    "so": "그래서",
    "check": "확인",
    "again": "다시",
    "answer": "답",
}
"""English control word -> Korean control word: the language outside the two."""

FILLER = (
    *(
        "the",
        "a",
        "cat",
        "dog",
        "sat",
        "ran",
        "on",
        "in",
        "red",
        "big",
        "sun",
        "moon",
        "tree",
        "river",
        "saw",
        "near",
        "and",
        "then",
        "it",
        "was",
        "old",
        "small",
        "day",
        "night",
    ),
    *"我你他猫狗大小天水在看了",
)
"""Words of the documents that have nothing to do with the task."""


def both(word: str) -> frozenset[str]:
    """A control word in both languages."""
    return frozenset((word, CHINESE[word]))


def every(word: str) -> frozenset[str]:
    """A control word in all three languages."""
    return both(word) | {KOREAN[word]}


def spelled(word: str, language: str) -> str:
    """A control word in one language."""
    return {"zh": CHINESE, "ko": KOREAN}.get(language, {}).get(word, word)
