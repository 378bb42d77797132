r"""One spelling for what is written in many: Unicode signs and layout commands become plain LaTeX, wrappers go.

``**x² ≤ ½**`` becomes ``x^{2} \le \frac{1}{2}``. Nothing is understood here; no value and no meaning changes.
"""

from __future__ import annotations

import html
import re
from functools import lru_cache

from r1kit.answers.chinese import chinese_digits
from r1kit.answers.numerals import words_in_digits
from r1kit.answers.prose import BOX, without_lead
from r1kit.answers.rewrites import EVERYWHERE, WHOLE
from r1kit.answers.units import is_unit
from r1kit.answers.words import CONNECTORS, FUNCTIONS, words

__all__ = ["LONGEST", "plain_signs", "respelled"]

_SIGNS = {
    "−": "-", "–": "-", "‒": "-", "—": "-", "﹣": "-", "⁄": "/", "∕": "/", "×": r"\cdot ", "⋅": r"\cdot ",
    "·": r"\cdot ", "∙": r"\cdot ", "∗": r"\cdot ", "÷": "/", "±": r"\pm ", "∓": r"\mp ", "√": r"\sqrt ",
    "∛": r"\sqrt[3] ", "∜": r"\sqrt[4] ", "≤": r"\le ", "⩽": r"\le ", "≦": r"\le ", "≥": r"\ge ", "⩾": r"\ge ",
    "≧": r"\ge ", "≠": r"\ne ", "≈": r"\approx ", "∞": r"\infty ", "∈": r"\in ", "∪": r"\cup ", "∩": r"\cap ",
    "≡": r"\equiv ", "∅": r"\emptyset ", "Ø": r"\emptyset ", "°": r"^{\circ}", "º": r"^{\circ}", "˚": r"^{\circ}",
    "∠": r"\angle ", "△": r"\triangle ", "′": "'", "″": "''", "⌊": r"\lfloor ", "⌋": r"\rfloor ",
    "⌈": r"\lceil ", "⌉": r"\rceil ", "⟨": r"\langle ", "⟩": r"\rangle ", "∑": r"\sum ", "∏": r"\prod ",
    "∫": r"\int ", "ℝ": r"\mathbb{R}", "ℤ": r"\mathbb{Z}", "ℚ": r"\mathbb{Q}", "ℕ": r"\mathbb{N}",
    "ℂ": r"\mathbb{C}", "∣": "|", "…": r"\ldots ", "⋯": r"\ldots ", "。": ".", "、": ",", "％": r"\%", "“": '"',
    "”": '"', "‘": "'", "’": "'", "「": '"', "」": '"', "『": '"', "』": '"', "【": "[", "】": "]", "￥": "¥",
    "\u00a0": " ", "\u2009": " ", "\u202f": " ", "\u3000": " ", "\u200b": "", "\ufeff": "", "𝑖": "i",
    "∶": ":", "℃": r"^{\circ}C", "℉": r"^{\circ}F", "→": r"\to ",
    "ħ": r"\hbar ", "ℏ": r"\hbar ", "∀": r"\forall ", "∃": r"\exists ", "∥": r"\parallel ", "⊥": r"\perp ",
    "⇒": r"\Rightarrow ", "ϕ": r"\phi ", "∴": r"\therefore ",
}  # fmt: skip
_GREEK = dict(
    zip(
        "αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΠΣΦΨΩϑµ",
        words(
            "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma "
            "tau upsilon phi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega vartheta mu"
        ),
        strict=True,
    )
)
_VULGAR = {
    "½": (1, 2), "⅓": (1, 3), "⅔": (2, 3), "¼": (1, 4), "¾": (3, 4), "⅕": (1, 5), "⅖": (2, 5), "⅗": (3, 5),
    "⅘": (4, 5), "⅙": (1, 6), "⅚": (5, 6), "⅐": (1, 7), "⅛": (1, 8), "⅜": (3, 8), "⅝": (5, 8), "⅞": (7, 8),
    "⅑": (1, 9), "⅒": (1, 10),
}  # fmt: skip
_TABLE = {
    **{code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)},
    **str.maketrans(_SIGNS),
    **str.maketrans({sign: f"\\{name} " for sign, name in _GREEK.items()}),
    **str.maketrans({sign: rf" \frac{{{above}}}{{{below}}}" for sign, (above, below) in _VULGAR.items()}),
}
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ⁿⁱˣ", "0123456789+-()nix")
_LOWERED = str.maketrans("₀₁₂₃₄₅₆₇₈₉₊₋₍₎ₙₓᵢ", "0123456789+-()nxi")
_ENTITY = re.compile(r"&(?:[a-z]{2,6}|#\d{1,5});")


def plain_signs(text: str) -> str:
    """With ASCII, and commands of LaTeX, for what Unicode has a sign of its own."""
    text = _ENTITY.sub(lambda found: html.unescape(found[0]), text)
    text = re.sub(r"(?<=\d)\s*[µμ]([mgsAVCFL])(?![A-Za-z])", r" \\text{u\1}", text)
    text = re.sub("((?:\\d[\u0304\u0305])+)", lambda found: f"\\overline{{{re.sub('[^0-9]', '', found[1])}}}", text)
    text = re.sub("^([A-J])、(?!(?:.*、)?[A-J](?:、|$))", r"\1. ", text)
    text = re.sub("([⁰¹²³⁴⁵⁶⁷⁸⁹]+)[⁄∕/]([₀₁₂₃₄₅₆₇₈₉]+)", _small_fraction, text)
    text = re.sub("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ⁿⁱˣ]+", lambda found: f"^{{{found[0].translate(_RAISED)}}}", text)
    text = re.sub("[₀₁₂₃₄₅₆₇₈₉₊₋₍₎ₙₓᵢ]+", lambda found: f"_{{{found[0].translate(_LOWERED)}}}", text)
    return text.translate(_TABLE)


def _small_fraction(found: re.Match[str]) -> str:
    """``³⁄₁₀``."""
    return rf" \frac{{{found[1].translate(_RAISED)}}}{{{found[2].translate(_LOWERED)}}}"


LONGEST = 1000
"""Characters beyond which an answer is not read, only compared as text."""

_DIGITS = re.compile(r"(?<![A-Za-z\\\d])(\d[\dA-Fa-f]*)(?=\s*_\s*\{?\s*1[1-6]\b)")
"""Of a base above ten."""
_GROUPED = re.compile(
    r"(?<![\d.,_])(\d{1,3})(\\[,:;]|\\ |\\!,?(?:\\!)?|,\\!|\\text\{,\}|~| |\{,\}|\{\\,\}|\\thinspace )"
    r"(\d{3})((?:\2\d{3})*)"
    r"(?![\d/]|\s*\\frac|,\d)"
)
_COMMAS = re.compile(r"(?<![\d.,\w])(\d{1,3}(?:,\d{3})+)(?![\d,])")
_LISTED = re.compile(r"-?\d{1,3}(?:,\d{3})*(?:, (?:and )?-?\d{1,3}(?:,\d{3})*)+")
"""``1,000, 2,000``: commas without a space belong to numbers where two of them have some."""
_COMMA_GROUP = re.compile(r"\d(?:,\d{3})+")
_MARKED = re.compile(r"(?<![\d.,'])\d{1,3}(?:(?:\.\d{3}){2,}|(?:'\d{3})+)(?![\d.,'])")
"""``1.234.567``, ``1'234``."""
_SPACING = re.compile(r"(?<!\\)\\[,;:> ]|~|\\q?quad(?![A-Za-z])|\\thinspace(?![A-Za-z])|\\h(?:space|skip)\*?\{[^{}]*\}")
_ROMAN = re.compile(
    r"\\(?:text[a-z]*|mbox|hbox|mathrm|mathbf|mathit|mathsf|mathnormal|operatorname\*?|boldsymbol|bm|emph|mathop)"
    r"\s*\{((?:[^{}]|\{[^{}]*\})*)\}"
)
_NAME = re.compile(r"(?<![A-Za-z\\])[A-Za-z]+")
_ATOM = r"[A-Za-z]{1,4}(?:\s*\^\s*\{?\s*-?\d\s*\}?)?"
_COMPOUND = re.compile(rf"{_ATOM}(?:(?:\s*(?:\\cdot|/)\s*|\s+){_ATOM}){{1,4}}")
"""``N m``, ``m\\cdot s^{-1}``."""
_SUBSCRIPT = re.compile(r"_\s*\{?\s*\\(?:text[a-z]*|mbox|mathrm|mathit|rm)\s*\{([^{}]*)\}\s*\}?")
_BOLD = re.compile(r"(?<![\w*)}])\*\*(?=\S)(.+?)(?<=\S)\*\*(?![\w*(])")
_WRAPPERS = tuple(
    re.compile(pattern, re.DOTALL)
    for pattern in (
        r"\\\((.*)\\\)", r"\\\[(.*)\\\]", r"\\(?:boxed|fbox)\s*\{(.*)\}", r"\\(?:boxed|fbox)\s+(.*)", r"\*\*(.*)\*\*",
        r"\*([^*]*)\*", r"__(.*)__", r"_([^_]+)_", r"'([^']*)'",
        r"```(.*)```", r"`([^`]*)`", r'"([^"]*)"', r"\\ensuremath\s*\{(.*)\}",
        r"<(?:b|i|u|em|strong|span|p|div|code|sup|mark)>(.*)</\w+>",
        r"\{([^{},|]*)\}", r"\\(?:mathbf|underline)\s*\{(.*)\}", r"\\(?:color|textcolor)\{\w+\}\s*\{?(.*?)\}?",
    )
)  # fmt: skip


@lru_cache(maxsize=4096)
def respelled(text: str, thousands: bool = True) -> str:
    """The text in plain LaTeX, without wrappers, markup, words that lead in, or a last stop.

    Args:
        thousands: ``1,450`` is one number.
    """
    text = plain_signs(text)
    for pattern, into in EVERYWHERE:
        text = pattern.sub(into, text)
    text = _unwrapped(text)
    text = _GROUPED.sub(lambda found: found[1] + re.sub(r"\D", "", found[3] + found[4]), text)
    if thousands and _LISTED.fullmatch(text) and len(_COMMA_GROUP.findall(text)) > 1:
        text = re.sub(r",(?=\d)", "", text)
    text = _MARKED.sub(lambda found: re.sub(r"\D", "", found[0]), text)
    if thousands:
        text = _COMMAS.sub(lambda found: found[1] if _is_tuple(text, found) else found[1].replace(",", ""), text)
    text = _DIGITS.sub(lambda found: found[1].upper(), text)
    text = _SPACING.sub(" ", text).replace(r"\!", "").replace("{,}", ",")
    text = _SUBSCRIPT.sub(lambda found: "_{" + found[1].strip() + "}", text)
    text = _unwrapped(BOX.sub(r" \1 ", _unwrapped(text)))
    text = _dollars(_ROMAN.sub(_roman, text))
    text = _ROMAN.sub(_roman, text)
    text = " ".join(_unwrapped(text).split())
    if "\\begin" not in text:
        text = re.sub(r"(?<=[^\s&]) ?\\?& ?(?=[^\s&])", " and ", text)
    for pattern, made in WHOLE:
        text = pattern.sub(made, text)
    return words_in_digits(chinese_digits(text))


def _is_tuple(text: str, found: re.Match[str]) -> bool:
    """``(100,200)``: brackets stand right around the digits."""
    return text[found.start() - 1 : found.start()] in {"(", "[", "{"} and text[found.end() : found.end() + 1] in set(
        ")]}\\"
    )


def _roman(found: re.Match[str]) -> str:
    """Upright letters: what may be a unit keeps its mark, the rest stands as plain text."""
    inside = found[1].replace("~", " ").strip()
    if _COMPOUND.fullmatch(inside) and all(map(is_unit, _NAME.findall(inside))) and _stands_behind_number(found):
        return _NAME.sub(lambda name: f"\\text{{{name[0]}}}" if len(name[0]) < 4 else name[0], f" {inside} ").rstrip()
    if raised := re.fullmatch(r"([A-Za-z]{1,3})\s*(\^\s*\{?-?\d\}?)", inside):
        return f" \\text{{{raised[1]}}}{raised[2]}"
    if re.fullmatch(r"[A-Za-z]{1,3}\.?", inside) and inside not in CONNECTORS and inside.lower() not in ("am", "pm"):
        if inside in FUNCTIONS and not _is_time(found):
            return f"\\{inside} "
        variable = len(inside) == 1 and (
            found[0].startswith(("\\mathbf", "\\mathit", "\\bold", "\\bm")) or inside in "ei"
        )
        return f" {inside} " if variable else f" \\text{{{inside}}}"
    return f" \\{inside} " if inside in FUNCTIONS else f" {inside} "


def _stands_behind_number(found: re.Match[str]) -> bool:
    return found.string[: found.start()].rstrip(" ~\\,;")[-1:] in set("0123456789})")


def _is_time(found: re.Match[str]) -> bool:
    """Minutes or seconds, behind a number or a slash, with nothing that they could be a function of."""
    before, after = found.string[: found.start()].rstrip(" ~\\,"), found.string[found.end() :]
    slash = before.endswith("/") and len(before) > 1
    return found[1].strip(" ~") in ("min", "sec") and (
        slash or (before[-1:].isdigit() and re.match(r"\s*(?:$|[/.,;$]|\d)", after) is not None)
    )


def _dollars(text: str) -> str:
    """Without the dollar signs around formulas; one that stands for money keeps its backslash."""
    bare = len(re.findall(r"(?<!\\)\$", text))
    if bare % 2:
        text = re.sub(r"(?<!\\)\$(?=\s*-?\.?\d)", r"\\$", text, count=1)
    return re.sub(r"(?<!\\)\$+", " ", text)


def _unwrapped(text: str) -> str:
    """Without what stands around the whole: a box, markup, quotes, stops, and words that lead in."""
    before = None
    while text != before:
        before = text
        text = _BOLD.sub(r"\1", text).strip()
        if not text.endswith("..."):
            text = (
                re.sub(r"(?:[.,;:]|\\\\|\\)+$", "", text).rstrip() if not text.endswith(r"\ ") else text.rstrip("\\ ")
            )
        text = re.sub(r"^([A-Za-z]) (?:is|equals|is equal to) (?=[^A-Za-z])", r"\1 = ", text)
        text = re.sub(r"^\*([A-Za-z ]+:)\*(?=\s*\S)", r"\1", text)
        text = re.sub(
            r"^(?:=>|->|(?:\\(?:to|[Rr]ightarrow)(?![A-Za-z])|#{1,6}(?=\s))|[:=,;]|\.(?=\s)|\\approx|[Aa]pproximately\b|[Aa]bout(?=\s*-?\d*\.\d)|\\therefore|\\implies|•|&(?=\s*=))\s*",
            "",
            text,
        )
        for wrapper in _WRAPPERS:
            found = wrapper.fullmatch(text)
            if found and _whole(found[1]):
                text = found[1].strip()
        text = re.sub(r"^\$+([^$]*)\$+$", r"\1", text)
        text = without_lead(text)
    return text


def _whole(inside: str) -> bool:
    """Whether brackets that stood around this closed each other."""
    depth = 0
    for place, sign in enumerate(inside):
        if sign in "{}" and inside[place - 1 : place] != "\\":
            depth += 1 if sign == "{" else -1
            if depth < 0:
                return False
    return depth == 0
