"""What is kept of right completions: named pure rules, each with a threshold (R1 paper, 2.3.3; v2, B.3.2 and B.3.3).

The paper names mixed language, long paragraphs, code blocks and repetition, and gives no threshold; these are ours.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from r1kit.answers.expression import equation_holds
from r1kit.errors import InputError, nearest
from r1kit.faults import parameters_of
from r1kit.registry import find, short
from r1kit.reward.extract import thinking
from r1kit.reward.language import Detector, language_consistency

__all__ = [
    "FilterConfig", "check_filters", "failed_filter", "filter_names", "longest_paragraph", "repeated_lines",
    "repeated_share", "words_in",
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterConfig:
    """Thresholds; 0 (for ``code``: true) turns a filter off."""

    language: float = 0.0
    """Least share of the chain's words in the question's language."""
    detector: Detector = "script"
    paragraph: int = 0
    """Most words in one paragraph of the chain."""
    code: bool = True
    """Whether the chain may hold a fenced code block."""
    repetition: float = 0.5
    """Most share of the chain's n-grams that were there before in the chain."""
    repetition_n: int = 8
    """Words of such an n-gram."""
    lines: float = 0.5
    """Most share of the chain's lines that were there before in the chain, blank lines aside."""
    tokens: int = 0
    """Longest response, in tokens."""
    true_summary: bool = False
    """Whether an equation that the summary between chain and answer states must hold."""
    own: tuple[str, ...] = ()
    """``FILE.py:NAME``: functions of your own, ``f(response, ...) -> bool``, which may also ask for ``chain``,
    ``question``, ``language`` and ``tokens``; true keeps the response. They come last, in this order."""

    def __post_init__(self) -> None:
        for name in ("language", "repetition", "lines"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"filters: {name} = {getattr(self, name)}; allowed is 0..1, 0 turns it off")
        if self.repetition_n < 1 or min(self.paragraph, self.tokens) < 0:
            raise InputError(
                f"filters: repetition_n = {self.repetition_n} must be at least 1, paragraph = {self.paragraph} and "
                f"tokens = {self.tokens} at least 0"
            )


Rule = Callable[[FilterConfig, str, str, int], bool]
"""(thresholds, the chain, language of the question, tokens of the response) -> whether it passes; ``true_summary`` is
given the whole response."""

_GIVEN = ("response", "chain", "question", "language", "tokens")
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
"""Thai, Lao, Burmese, Khmer, kana, Han: written without spaces."""
_SIGN, _SIGNS = re.compile(f"[{_UNSPACED}]"), re.compile(f"[{_UNSPACED}]|[^{_UNSPACED}]+")
_FEW = 4
"""Such signs that are one word where spaces part them, as the nano world's are."""
_SUMMARY = re.compile(r"</think>[^0-9(\[<]*(.*?)(?:<answer>|$)", re.DOTALL)
"""What stands between chain and answer, from its first number or bracket on."""

_RULES: dict[str, tuple[Callable[[FilterConfig], bool], Rule]] = {
    "length": (lambda f: f.tokens > 0, lambda f, chain, language, tokens: tokens <= f.tokens),
    "code": (lambda f: not f.code, lambda f, chain, language, tokens: "```" not in chain),
    "paragraph": (
        lambda f: f.paragraph > 0,
        lambda f, chain, language, tokens: longest_paragraph(chain) <= f.paragraph,
    ),
    "repetition": (
        lambda f: f.repetition > 0,
        lambda f, chain, language, tokens: repeated_share(words_in(chain), f.repetition_n) <= f.repetition,
    ),
    "lines": (lambda f: f.lines > 0, lambda f, chain, language, tokens: repeated_lines(chain) <= f.lines),
    "language": (
        lambda f: f.language > 0,
        lambda f, chain, language, tokens: language_consistency(chain, language, f.detector) >= f.language,
    ),
    "true_summary": (lambda f: f.true_summary, lambda f, response, language, tokens: not _untrue(response)),
}
"""Name -> whether the thresholds turn it on, and the rule; in the order they are applied."""


def filter_names(config: FilterConfig) -> list[str]:
    """The filters that are on, in the order they are applied."""
    return [*(name for name, (is_on, _) in _RULES.items() if is_on(config)), *map(short, config.own)]


def check_filters(config: FilterConfig, where: str) -> None:
    """Refuse a filter of a user's own that is not there or asks for what no filter is given.

    Raises:
        InputError: one line on the first.
    """
    for reference in config.own:
        try:
            _asked(reference)
        except InputError as error:
            raise InputError(f"{where}.own: {error}") from error


def failed_filter(config: FilterConfig, response: str, language: str, tokens: int, question: str = "") -> str:
    """Name of the first filter that a response does not pass; empty if it passes all.

    Args:
        config: the thresholds.
        response: as written, tags included; all filters but ``length`` and ``true_summary`` look at its thinking part.
        language: of the question, ISO 639-1.
        tokens: length of the response.
        question: for filters of a user's own.
    """
    chain = thinking(response)
    for name, (is_on, passes) in _RULES.items():
        read = response if name == "true_summary" else chain
        if is_on(config) and not passes(config, read, language, tokens):
            return name
    given = {"response": response, "chain": chain, "question": question, "language": language, "tokens": tokens}
    for reference in config.own:
        function, asked = _asked(reference)
        kept = function(**{name: given[name] for name in asked})
        if kept is None:
            raise InputError(f"{short(reference)} gave None; a filter gives true, which keeps the response, or false")
        if not kept:
            return short(reference)
    return ""


def _asked(reference: str) -> tuple[Callable[..., object], list[str]]:
    """A user's filter and the names of what it is to be given."""
    function = find(reference, {}, "filter")
    parameters = parameters_of(function, short(reference), "f(response)")
    for name, each in parameters.items():
        if name not in _GIVEN and each.default is each.empty and each.kind is not each.VAR_KEYWORD:
            raise InputError(
                f"{short(reference)} asks for {name!r}; a filter may ask for {', '.join(_GIVEN)}."
                f"{nearest(name, _GIVEN)}"
            )
    return function, [name for name in parameters if name in _GIVEN]


def _untrue(response: str) -> bool:
    """Whether its summary states an equation that does not hold."""
    found = _SUMMARY.search(response)
    return found is not None and equation_holds(found[1]) is False


def words_in(text: str) -> list[str]:
    """What spaces part; where more than a few signs of a script without spaces follow one another, each is a word."""
    if text.isascii():
        return text.split()
    found: list[str] = []
    for word in text.split():
        found += _SIGNS.findall(word) if len(_SIGN.findall(word)) > _FEW else [word]
    return found


def longest_paragraph(text: str) -> int:
    """Words of the longest paragraph; a blank line ends one."""
    longest = words = 0
    for line in text.splitlines():
        words = words + len(words_in(line)) if line.strip() else 0
        longest = max(longest, words)
    return longest


def repeated_share(words: Sequence[str], n: int) -> float:
    """Share of the n-grams that occurred before: 0 if all differ or there are fewer than n words, near 1 for a loop."""
    grams = [tuple(words[at : at + n]) for at in range(len(words) - n + 1)]
    return 1.0 - len(set(grams)) / len(grams) if grams else 0.0


def repeated_lines(text: str) -> float:
    """Share of the lines that are not blank that occurred before."""
    counts = Counter(line.strip() for line in text.splitlines() if line.strip())
    total = sum(counts.values())
    return 1.0 - len(counts) / total if total else 0.0
