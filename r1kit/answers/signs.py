r"""Unicode signs in plain LaTeX: ``x² ≤ ½`` is ``x^{2} \le \frac{1}{2}``."""

from __future__ import annotations

import html
import re

from r1kit.answers.words import words

__all__ = ["plain_signs"]

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
