"""Language consistency: share of the chain's words that are in the target language (R1 paper v2, equation 7).

The paper does not say what a word is. Here: code, LaTeX, tags, URLs and numbers are left out, but for letters in them
that are neither Latin nor Greek, which are prose wherever they stand; a Han character and a kana count as one word
each; in every other script a run of letters is a word; single Latin letters (variables) and words with digits in them
are left out. Two languages in one script are told apart by their small words (``function_words.py``), Japanese from
Chinese by its kana; ``lingua``, where it is asked, does it by a model. What is not seen: a word or two of another
language of the same script, and Latin or Greek prose that is written as code or LaTeX.
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

_LENGTH = r"-?[\d.]+[a-z]{2}\]"
r"""Behind a line break, ``\\[2pt]``: opens no formula."""
_LEFT_OUT = re.compile(
    r"```.*?(?:```|\Z)"  # fenced code
    r"|`[^`\n]*`"  # inline code
    r"|\$\$.*?\$\$|\$[^$\n]*\$"  # LaTeX; a bracket that another one opens inside has no end
    rf"|\\\[(?!{_LENGTH})[^\\]*(?:\\(?!\]|\[(?!{_LENGTH}))[^\\]*)*\\\]|\\\([^\\]*(?:\\(?![()])[^\\]*)*\\\)"
    r"|\\[A-Za-z]+(?:\{[^{}]*\})*(?:_\w*\d\w*)?"
    r"|https?://\S+|www\.\S+"  # addresses
    r"|<[/|]?[A-Za-z][\w|-]*[/|]?>"  # tags and special tokens
    r"|\d\w*|(?<!\w)[^\W\d]+\d\w*",  # numbers, and names with digits in them
    re.DOTALL | re.ASCII,
)
"""Linear in a text's length, whatever it holds: the parent measures what took a verifier down, without a deadline."""
_SIGNS = re.compile("[\x00-\u03ff\u2000-\u2bff\U0001d400-\U0001d7ff]+")
"""Which code and formulas are made of; letters of any other script are prose, wherever they stand."""
_RANGES = {
    "latin": "A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u02af\u1e00-\u1eff\ufb00-\ufb06\uff21-\uff3a\uff41-\uff5a"
    "\U0001d400-\U0001d6a5",
    "han": "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff",
    "kana": "\u3041-\u30ff\uff66-\uff9f",
    "hangul": "\uac00-\ud7af\u1100-\u11ff\u3131-\u318e\uffa0-\uffdc",
    "cyrillic": "\u0400-\u052f",
    "greek": "\u0370-\u03ff\u1f00-\u1fff",
    "arabic": "\u0620-\u065f\u066e-\u06ef\u0750-\u077f\u08a0-\u08ff\ufb50-\ufdff\ufe70-\ufefc",
    "hebrew": "\u05d0-\u05ea\ufb1d-\ufb4f",
    "devanagari": "\u0900-\u097f",
    "thai": "\u0e00-\u0e7f",
    "other": "\u0531-\u0587\u0710-\u074f\u0780-\u089f\u0980-\u0dff\u0e80-\u10ff\u1200-\u1cff\u2c00-\u2dff\ua000-\uabff"
    "\U00010280-\U0001cfff\U0001e000-\U0001efff",
}
_LENGTHS = {"han": "", "kana": "", "latin": "{2,}"}
_WORDS = {name: re.compile(f"[{span}]{_LENGTHS.get(name, '+')}") for name, span in _RANGES.items()}
"""Of each script; the ranges do not overlap, so one script's words are found without looking at another's."""
_LATIN = (("latin", re.compile("[A-Za-z]{2,}")),)
"""Of a text that has no other letters."""
_ASCII = frozenset(map(chr, range(128)))
_SCRIPTS = {
    "zh": ("han",),
    "ja": ("han", "kana"),
    "ko": ("hangul",),
    "el": ("greek",),
    **dict.fromkeys(("he", "yi"), ("hebrew",)),
    **dict.fromkeys(("hi", "mr", "ne"), ("devanagari",)),
    "th": ("thai",),
    **dict.fromkeys(("ru", "uk", "bg", "sr", "be", "mk", "kk", "mn"), ("cyrillic",)),
    **dict.fromkeys(("ar", "fa", "ur"), ("arabic",)),
    **dict.fromkeys("am bn gu hy ka km kn lo ml my pa si ta te".split(), ("other",)),  # noqa: SIM905
}


def words_by_script(text: str) -> dict[str, int]:
    """Number of words in each script that occurs, after code, LaTeX, tags, URLs and numbers are left out."""
    return _counted(_prose(text))


def _prose(text: str) -> str:
    """Without code, LaTeX, tags, URLs and numbers, but for what they hold in scripts that they are not written in."""
    return _LEFT_OUT.sub(" " if text.isascii() else _kept, text)


def _kept(found: re.Match[str]) -> str:
    """What stays of a piece that is left out."""
    return " " if found[0].isascii() else f" {_SIGNS.sub(' ', found[0])} "


def _counted(prose: str) -> dict[str, int]:
    """Words in each script that occurs; the signs are looked at first, as most scripts do not."""
    signs, counts = "".join(set(prose) - _ASCII), dict[str, int]()
    for script, pattern in _WORDS.items() if signs else _LATIN:
        if (script == "latin" or pattern.search(signs)) and (count := len(pattern.findall(prose))):
            counts[script] = count
    return counts


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
    prose = _prose(chain)
    counts = _counted(prose)
    total = sum(counts.values())
    if total == 0:
        return 1.0
    if detector == "script":
        in_script = sum(counts.get(script, 0) for script in scripts)
        return (in_script - _foreign(prose, target, counts, in_script)) / total
    identify = _lingua()
    matching = 0
    for line in prose.splitlines():
        here = sum(_counted(line).get(script, 0) for script in scripts)
        if here and identify(line) in (target, None):
            matching += here
    return matching / total


def _foreign(prose: str, target: str, counts: Mapping[str, int], in_script: int) -> float:
    """How many of the words in the target's script are another language's."""
    if target in ("zh", "ja"):
        kana = counts.get("kana", 0)
        if not kana and target == "zh":
            return 0.0
        lines = [_counted(line) for line in prose.splitlines()]
        return sum(line.get("han", 0) for line in lines if _is_japanese(line) is (target == "zh"))
    return in_script * foreign_share(prose, target) if in_script else 0.0


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

    ``script``: of the script that most words are in, the language that it belongs to alone, or else the one that its
    small words, what asks in it and its letters speak for. ``lingua``: of most words, line by line.
    """
    prose = _prose(text)
    counts = _counted(prose)
    if not counts:
        return None
    if detector == "lingua":
        votes = Counter[str]()
        for line in prose.splitlines():
            if code := _lingua()(line):
                votes[code] += sum(_counted(line).values())
        return votes.most_common(1)[0][0] if votes else None
    if counts.get("kana", 0) >= LEAST_KANA * (counts.get("han", 0) + counts.get("kana", 0)) > 0:
        counts["kana"] += counts.pop("han", 0)
    script = max(counts, key=lambda name: counts[name])
    alone = {"han": "zh", "kana": "ja", "hangul": "ko", "greek": "el", "hebrew": "he", "devanagari": "hi", "thai": "th"}
    return alone.get(script) or told_by_small_words(prose, script)


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
