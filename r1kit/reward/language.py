"""Language consistency: share of the chain's words that are in the target language (R1 paper v2, equation 7).

The paper does not say what a word is. Here: code, LaTeX, tags, URLs and numbers are left out; a Han character and a
kana count as one word each; in every other script a run of letters is a word; single Latin letters (variables) and
words with digits in them are left out. Two languages in one script are told apart by their small words
(``function_words.py``), Japanese from Chinese by its kana; ``lingua``, where it is asked, does it by a model. What is
not seen: a word or two of another language of the same script.
"""

from __future__ import annotations

import importlib.util
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache

from r1kit.errors import InputError, MissingError
from r1kit.records import Prompt
from r1kit.reward.extract import thinking
from r1kit.reward.function_words import TOLD, foreign_share, told_by_small_words
from r1kit.reward.messages import Job
from r1kit.reward.part import Mark, Ours
from r1kit.reward.settings import Detector, RewardConfig
from r1kit.tasks.task import Task

__all__ = [
    "Detector",
    "Language",
    "check_detector",
    "check_told",
    "language_consistency",
    "language_of",
    "words_by_script",
]

_LEFT_OUT = re.compile(
    r"```.*?(?:```|\Z)"  # fenced code
    r"|`[^`\n]*`"  # inline code
    r"|\$\$.*?\$\$|\$[^$\n]*\$"  # LaTeX
    r"|\\\[.*?\\\]|\\\(.*?\\\)"
    r"|\\[A-Za-z]+(?:\{[^{}]*\})*"
    r"|https?://\S+|www\.\S+"  # addresses
    r"|<[/|]?[A-Za-z][\w|-]*[/|]?>"  # tags and special tokens
    r"|\w*\d\w*",  # numbers, and names with digits in them
    re.DOTALL | re.ASCII,
)
_RANGES = {
    "latin": "A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f",
    "han": "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff",
    "kana": "\u3041-\u30ff",
    "hangul": "\uac00-\ud7af\u1100-\u11ff",
    "cyrillic": "\u0400-\u052f",
    "greek": "\u0370-\u03ff",
    "arabic": "\u0620-\u065f\u066e-\u06ef\u0750-\u077f",
    "hebrew": "\u05d0-\u05ea",
    "devanagari": "\u0900-\u097f",
    "thai": "\u0e00-\u0e7f",
}
_LENGTHS = {"han": "", "kana": "", "latin": "{2,}"}
_WORDS = {name: re.compile(f"[{span}]{_LENGTHS.get(name, '+')}") for name, span in _RANGES.items()}
"""Of each script; the ranges do not overlap, so one script's words are found without looking at another's."""
_SCRIPTS = {
    "zh": ("han",),
    "ja": ("han", "kana"),
    "ko": ("hangul",),
    "el": ("greek",),
    "he": ("hebrew",),
    "hi": ("devanagari",),
    "th": ("thai",),
    **dict.fromkeys(("ru", "uk", "bg", "sr", "be", "mk"), ("cyrillic",)),
    **dict.fromkeys(("ar", "fa", "ur"), ("arabic",)),
}


def words_by_script(text: str) -> dict[str, int]:
    """Number of words in each script that occurs, after code, LaTeX, tags, URLs and numbers are left out."""
    left = _LEFT_OUT.sub(" ", text)
    patterns = {"latin": _WORDS["latin"]} if left.isascii() else _WORDS
    return {script: count for script, pattern in patterns.items() if (count := len(pattern.findall(left)))}


def language_consistency(chain: str, target: str, detector: Detector = "script") -> float:
    """Share, 0 to 1, of the chain's words that are in ``target``; 1 if no words remain.

    Args:
        chain: the thinking part of a completion.
        target: ISO 639-1 code. Codes without a script of their own here (en, fr, de, vi ...) mean Latin script.
        detector: ``script`` counts by script, less the lines whose small words are another language's; ``lingua`` names
            the language of each line that is in the target's script and counts its words only if it is the target.

    Raises:
        MissingError: ``lingua`` is asked and not installed.
    """
    scripts = _SCRIPTS.get(target, ("latin",))
    counts = words_by_script(chain)
    total = sum(counts.values())
    if total == 0:
        return 1.0
    if detector == "script":
        in_script = sum(counts.get(script, 0) for script in scripts)
        return (in_script - _foreign(chain, target, counts, in_script)) / total
    identify = _lingua()
    matching = 0
    for line in _LEFT_OUT.sub(" ", chain).splitlines():
        here = sum(words_by_script(line).get(script, 0) for script in scripts)
        if here and identify(line) in (target, None):
            matching += here
    return matching / total


def _foreign(chain: str, target: str, counts: Mapping[str, int], in_script: int) -> float:
    """How many of the words in the target's script are another language's."""
    if target in ("zh", "ja"):
        kana = counts.get("kana", 0)
        if not kana and target == "zh":
            return 0.0
        lines = [words_by_script(line) for line in _LEFT_OUT.sub(" ", chain).splitlines()]
        return sum(line.get("han", 0) for line in lines if _is_japanese(line) is (target == "zh"))
    return in_script * foreign_share(_LEFT_OUT.sub(" ", chain), target) if in_script else 0.0


def _is_japanese(line: Mapping[str, int]) -> bool | None:
    """By its share of kana; None for a line that is too short to tell."""
    kana, han = line.get("kana", 0), line.get("han", 0)
    return kana >= LEAST_KANA * (kana + han) if kana + han >= SHORTEST else None


LEAST_KANA = 0.1
"""Of a line's Han characters and kana; Japanese prose has about half."""
SHORTEST = 6
"""Characters of a line that is judged by its kana."""


def check_detector(detector: Detector) -> None:
    """Raise MissingError, before anything runs, if the detector cannot be had on this machine."""
    if detector == "lingua" and importlib.util.find_spec("lingua") is None:
        raise MissingError(
            "language detector 'lingua' is not installed; run pip install 'r1kit[lingua]' or set detector = \"script\""
        )


def check_told(languages: Iterable[str], where: str) -> None:
    """Raise InputError for a language that the detector ``script`` cannot tell from others of its script."""
    for language in sorted(set(languages) - TOLD):
        raise InputError(
            f"{where} pays for the language, and the detector 'script' cannot tell {language!r} from other languages; "
            "set detector = \"lingua\" (pip install 'r1kit[lingua]') or leave the part language out"
        )


@cache
def _lingua() -> Callable[[str], str | None]:
    """ISO code of a line's language by lingua, None if it will not say; built once (its models take seconds)."""
    check_detector("lingua")
    from lingua import LanguageDetectorBuilder  # type: ignore[import-not-found, unused-ignore]

    detector = LanguageDetectorBuilder.from_all_languages().with_minimum_relative_distance(0.05).build()

    def identify(line: str) -> str | None:
        language = detector.detect_language_of(line)
        return None if language is None else str(language.iso_code_639_1.name).lower()

    return identify


def language_of(text: str, detector: Detector = "script") -> str | None:
    """ISO code of the language that a question is in; None where it cannot be told.

    ``script``: of the script that most words are in, the language that it belongs to alone, or else the one whose small
    words are most. ``lingua``: of most words, line by line.
    """
    counts = words_by_script(text)
    if not counts:
        return None
    left = _LEFT_OUT.sub(" ", text)
    if detector == "lingua":
        votes = Counter[str]()
        for line in left.splitlines():
            if code := _lingua()(line):
                votes[code] += sum(words_by_script(line).values())
        return votes.most_common(1)[0][0] if votes else None
    if counts.get("kana", 0) >= LEAST_KANA * (counts.get("han", 0) + counts.get("kana", 0)) > 0:
        counts["kana"] += counts.pop("han", 0)
    script = max(counts, key=lambda name: counts[name])
    alone = {"han": "zh", "kana": "ja", "hangul": "ko", "greek": "el", "hebrew": "he", "devanagari": "hi", "thai": "th"}
    return alone.get(script) or told_by_small_words(left, script)


class Language(Ours):
    """``language_consistency`` of the thinking part with the target that ``language_target`` says."""

    def __init__(self, config: RewardConfig, task: Task) -> None:
        self.detector, self.wanted = config.detector, config.language_target

    def __call__(self, prompt: Prompt, jobs: Sequence[Job]) -> list[Mark]:
        target = self.target(prompt)
        return [Mark(language_consistency(thinking(job.text), target, self.detector)) for job in jobs]

    def target(self, prompt: Prompt) -> str:
        """ISO code that a prompt's chains are measured by."""
        if self.wanted == "detected":
            return language_of(prompt.question, self.detector) or prompt.language
        return prompt.language if self.wanted == "question" else self.wanted
