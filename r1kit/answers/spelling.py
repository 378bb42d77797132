r"""One spelling for what is written in many: Unicode signs and layout commands become plain LaTeX, wrappers go.

``**x² ≤ ½**`` becomes ``x^{2} \le \frac{1}{2}``. Nothing is understood here; no value and no meaning changes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from r1kit.answers.prose import without_lead
from r1kit.answers.words import CONNECTORS, FUNCTIONS

__all__ = ["LONGEST", "respelled"]

LONGEST = 1000
"""Characters beyond which an answer is not read, only compared as text."""

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
    "∶": ":", "ϕ": r"\phi ", "∴": r"\therefore ",
}  # fmt: skip
_GREEK = dict(
    zip(
        "αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΠΣΦΨΩϑµ",
        [
            "alpha",
            "beta",
            "gamma",
            "delta",
            "epsilon",
            "zeta",
            "eta",
            "theta",
            "iota",
            "kappa",
            "lambda",
            "mu",
            "nu",
            "xi",
            "pi",
            "rho",
            "sigma",
            "tau",
            "upsilon",
            "phi",
            "chi",
            "psi",
            "omega",
            "Gamma",
            "Delta",
            "Theta",
            "Lambda",
            "Xi",
            "Pi",
            "Sigma",
            "Phi",
            "Psi",
            "Omega",
            "vartheta",
            "mu",
        ],
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

_SAME: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), into)
    for pattern, into in (
        (r"<br\s*/?>|</?answer>", " "),
        (r"\\(?:left|right|middle)(?![A-Za-z])\s*\.?", ""),
        (r"\\(?:[bB]ig{1,2}[lrgm]?|displaystyle|textstyle|scriptstyle|limits|nolimits|rm|bf|it)(?![A-Za-z])", ""),
        (r"\\begin\{(?:equation|align|aligned|gather|gathered|split)\*?\}|\\end\{(?:equation|align|aligned|gather|"
         r"gathered|split)\*?\}", " "),
        (r"\\(?:d|t|c)(frac|binom)(?![A-Za-z])", r"\\\1"),
        (r"\\(?:leqslant|leq|leqq)(?![A-Za-z])|<=|=<", r"\\le "),
        (r"\\(?:geqslant|geq|geqq)(?![A-Za-z])|>=", r"\\ge "),
        (r"\\neq(?![A-Za-z])|!=|\\not\s*=", r"\\ne "),
        (r"\\pmod(?![A-Za-z])", r"\\modulo "),
        (r"\\lor(?![A-Za-z])|∨", r"\\vee "),
        (r"\\land(?![A-Za-z])|∧", r"\\wedge "),
        (r"\\lt(?![A-Za-z])", "<"),
        (r"\\gt(?![A-Za-z])", ">"),
        (r"\\(?:times|ast|centerdot|bullet)(?![A-Za-z])", r"\\cdot "),
        (r"\\div(?![A-Za-z])", "/"),
        (r"\\(?:lvert|rvert|vert|mid)(?![A-Za-z])", "|"),
        (r"\\(?:lbrace)(?![A-Za-z])", r"\\{"),
        (r"\\(?:rbrace)(?![A-Za-z])", r"\\}"),
        (r"\\(?:varnothing|O)(?![A-Za-z])", r"\\emptyset "),
        (r"\\(?:dots|cdots|dotsc|dotsb)(?![A-Za-z])", r"\\ldots "),
        (r"\\(?:bar)\s*(?=\{\d)", r"\\overline"),
        (r"\^\s*\{\s*(?:\\circ|\\degree|o|\\(?:mathrm|text|rm)\s*\{\s*o\s*\})\s*\}|\^\s*\\(?:circ|degree)(?![A-Za-z])|\\degree(?![A-Za-z])",
         r"^{\\circ}"),
        (r"\{([^{}]*)\\choose([^{}]*)\}", r"\\binom{\1}{\2}"),
        (r"\{([^{}]*)\\over(?![A-Za-z])([^{}]*)\}", r"\\frac{\1}{\2}"),
        (r"(?<=\d)(?:(?:st|nd|rd|th)|\s*(?:\^\s*\{?\s*)?\\(?:text|mathrm)\s*\{\s*(?:st|nd|rd|th)\s*\}\s*\}?"
         r"|\s*\^\s*\{\s*(?:st|nd|rd|th)\s*\})"
         r"(?=\W*$)", ""),
        (r"(?<=\d)(?:[\s~]|\\[ ,;:])*(?:\\(?:mathrm|text)\s*\{[\s~]*\\Omega\s*\}|\\Omega)(?=\W*$)", r" \\text{ohm}"),
        (r"(?<=\d)(?:[\s~]|\\[ ,;:])*(?:\\(?:mathrm|text)\s*\{[\s~]*\\mu[\s~]*([mgsAVCFL])\s*\}"
         r"|\\mu[\s~]*\\(?:mathrm|text)\s*\{[\s~]*([mgsAVCFL])\s*\})(?=\W*$)", r" \\text{u\1\2}"),
        (r"([平立]方)(?=[千厘分毫]?米|公里)", r"\1 "),
        (r"\\backslash(?![A-Za-z])|∖", r"\\setminus "),
        (r"\\(?:text|mathrm|mathbf|rm)\s*\{\s*([CA])\s*\}(?=\s*_)", r"\1"),
        (r"(?<=\\in)\s*(?:\\(?:mathbf|mathrm)\s*\{\s*([ZRNQ])\s*\}|(?:\\(?:mathbf|bf|rm)\s*)?([ZRNQ])(?![A-Za-z]))",
         r" \\mathbb{\1\2}"),
        (r"\\Bbb\s*\{?\s*([ZRNQC])\s*\}?", r"\\mathbb{\1}"),
        (r"(^|[{$(\[])\s*\\(?:mathbf|bf)\s*\{?\s*([ZRNQ])\s*\}?(?=\s*(?:$|[}$.)\]^]|\\[)\]]|\\setminus))",
         r"\1\\mathbb{\2}"),
        (r"_\s*\{\s*(?:\((\w+)\)|base\s+(\w+)|\\text\s*\{\s*base\s*(?:\}\s*(\w+)|(\w+)\s*\}))\s*\}",
         r"_{\1\2\3\4}"),
        (r"\\(?:text|mathrm)\s*\{\s*([\dA-F]+)\s*\}(?=\s*_\s*\{?\s*1[1-6]\b)", r"\1"),
        (r"\b([apAP])\.([mM])\b\.?", r"\1\2"),
        (r"\\(?:textdollar)(?![A-Za-z])", r"\\$"),
        (r"(?<![A-Za-z\\])(?:US|CA|AU|HK|NZ|C|A)\s*\\?\$(?=\s*-?\.?\d)", r"\\$"),
        (r"\+\s*\\infty", r"\\infty"),
        (r"(?<=\d)\s*[xX]\s*(?=10\s*\^)", r"\\cdot "),
        (r"\bor both\b", ""),
    )
)  # fmt: skip
_FOR = r"(?<=\S)\s*,?\s*\b(?:for|where|with)\s+(?:(?:all|any|some|every|each)\s+)?"
_EXCEPT = r"^(?:[Aa]ll )?(?:the )?(?:real numbers?|reals)(?: [a-z])? (?:except|other than)(?: for)? "


def _interval(found: re.Match[str]) -> str:
    """``]2, 5[`` as the French write it: a bracket that looks away leaves its end out."""
    return f"{'[' if found[1] == '[' else '('}{found[2]}{']' if found[3] == ']' else ')'}"


_LAST: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = tuple(
    (re.compile(pattern), into)
    for pattern, into in (
        (r"\s*\(\s*([a-z]\s*\\in\s*\\mathbb\s*\{?[ZNR]\}?[*+^_{}]*)\s*\)$", r", \1"),
        (_FOR + r"integers?\s+([a-z])$", r", \1 \\in \\mathbb{Z}"),
        (_FOR + r"([a-z]\s*\\in\s*\\mathbb\s*\{?Z\}?[*+^_{}]*)$", r", \1"),
        (r"(?<=\S)\s*,?(?:\s*\bwhere)?\s+([a-z]) is an integer$", r", \1 \\in \\mathbb{Z}"),
        (r"\s*,?\s*\bfor (?:all|every|any) (?:real (?:numbers )?)?[a-z](?:\s*\\in\s*\\mathbb\s*\{?R\}?)?$", ""),
        (r"^([fgh])\s*(?:\(x\))?\s*\\equiv(?![A-Za-z])(?!.*mod)", r"\1(x) ="),
        (r"(?<=\d)\s*\(approx(?:\.|imately|)\)$", ""),
        (_EXCEPT + r"(?:[a-z] = )?(?=[^a-z])([^,()\[\]]+)$", r"\\mathbb{R} \\setminus \\{\1\\}"),
        (r"^(\\mathbb\s*\{?R\}?)\s*-\s*(?=\\?\{)", r"\1 \\setminus "),
        (r"(?:(?<=^)|(?<=\\cup )|(?<=\\in ))([\[\]])([^,;()\[\]]+[,;][^,;()\[\]]+)([\[\]])(?=$| \\cup)", _interval),
        (r"\\frac\s*\{\s*(\\text\{\w+\})\s*\}\s*\{\s*(\\text\{\w+\}(?:\s*\^\s*\{?\d\}?)?)\s*\}$", r" \1/\2"),
        (r"\s*\(\s*\\?b?mod\s*\{?\s*(\w+)\s*\}?\s*\)$", r" \\modulo{\1}"),
        (r"\s*\\modulo\s*\{?\s*(\w+)\s*\}?$", r" \\modulo{\1}"),
        (r"^([A-Za-z])\s*\\equiv\s*(\S+?)\s*\\?\bb?mod\s*\{?\s*(\w+)\s*\}?$", r"\1 = \2 \\modulo{\3}"),
        (r"^([A-Za-z])\s*\\equiv(?=.*\\modulo)", r"\1 ="),
        (r"\+\s*\\text\{C\}$", "+ C"),
        (r"^(\d{1,2})\s*([apAP][mM])$", r"\1:00 \2"),
        (r"^(?:minus|negative)\s+(?=\S)", "-"),
        (r"^([\dA-F]+)\s*,?\s*\(?\s*(?:in\s+)?base[\s-]+(\w+)\s*\)?$", r"\1_{\2}"),
        (r"(?<=\d)\s*_\s*(?:\{\s*10\s*\}|10(?!\d))", ""),
        (r"^\((\w+)\)(?=\s*_)", r"\1"),
    )
)
"""Of the whole, once nothing stands around it."""
_DIGITS = re.compile(r"(?<![A-Za-z\\\d])(\d[\dA-Fa-f]*)(?=\s*_\s*\{?\s*1[1-6]\b)")
"""Of a base above ten."""
_GROUPED = re.compile(
    r"(?<![\d.,_])(\d{1,3})(\\,|\\ |\\!|,\\!|~| |\{,\}|\{\\,\}|\\thinspace )(\d{3})((?:\2\d{3})*)"
    r"(?![\d/]|\s*\\frac|,\d)"
)
_COMMAS = re.compile(r"(?<![\d.,\w])(\d{1,3}(?:,\d{3})+)(?![\d,])")
_MARKED = re.compile(r"(?<![\d.,'])\d{1,3}(?:(?:\.\d{3}){2,}|(?:'\d{3})+)(?![\d.,'])")
"""``1.234.567``, ``1'234``."""
_SPACING = re.compile(r"(?<!\\)\\[,;:> ]|~|\\q?quad(?![A-Za-z])|\\thinspace(?![A-Za-z])|\\h(?:space|skip)\*?\{[^{}]*\}")
_ROMAN = re.compile(
    r"\\(?:text[a-z]*|mbox|hbox|mathrm|mathbf|mathit|mathsf|mathnormal|operatorname\*?|boldsymbol|bm|emph|mathop)"
    r"\s*\{((?:[^{}]|\{[^{}]*\})*)\}"
)
_SUBSCRIPT = re.compile(r"_\s*\{?\s*\\(?:text[a-z]*|mbox|mathrm|mathit|rm)\s*\{([^{}]*)\}\s*\}?")
_BOLD = re.compile(r"(?<![\w*)}])\*\*(?=\S)(.+?)(?<=\S)\*\*(?![\w*(])")
_WRAPPERS = tuple(
    re.compile(pattern, re.DOTALL)
    for pattern in (
        r"\\\((.*)\\\)", r"\\\[(.*)\\\]", r"\\(?:boxed|fbox)\s*\{(.*)\}", r"\\(?:boxed|fbox)\s+(.*)", r"\*\*(.*)\*\*",
        r"\*([^*]*)\*", r"__(.*)__", r"```(.*)```", r"`([^`]*)`", r'"([^"]*)"', r"\\ensuremath\s*\{(.*)\}",
        r"<(?:b|i|u|em|strong|span|p|div|code|sup|mark)>(.*)</\w+>",
        r"\{([^{},]*)\}", r"\\(?:mathbf|underline)\s*\{(.*)\}", r"\\(?:color|textcolor)\{\w+\}\s*\{?(.*?)\}?",
    )
)  # fmt: skip


@lru_cache(maxsize=4096)
def respelled(text: str, thousands: bool = True) -> str:
    """The text in plain LaTeX, without wrappers, markup, words that lead in, or a last stop.

    Args:
        thousands: ``1,450`` is one number.
    """
    text = _signs(text)
    for pattern, into in _SAME:
        text = pattern.sub(into, text)
    text = _unwrapped(text)
    text = _GROUPED.sub(lambda found: found[1] + re.sub(r"\D", "", found[3] + found[4]), text)
    text = _MARKED.sub(lambda found: re.sub(r"\D", "", found[0]), text)
    if thousands:
        text = _COMMAS.sub(lambda found: found[1] if _is_tuple(text, found) else found[1].replace(",", ""), text)
    text = _DIGITS.sub(lambda found: found[1].upper(), text)
    text = _SPACING.sub(" ", text).replace(r"\!", "").replace("{,}", ",")
    text = _SUBSCRIPT.sub(lambda found: "_{" + found[1].strip() + "}", text)
    text = _unwrapped(text)
    text = _dollars(_ROMAN.sub(_roman, text))
    text = _ROMAN.sub(_roman, text)
    text = " ".join(_unwrapped(text).split())
    for pattern, made in _LAST:
        text = pattern.sub(made, text)
    return text


def _signs(text: str) -> str:
    text = re.sub(r"(?<=\d)\s*[µμ]([mgsAVCFL])(?![A-Za-z])", r" \\text{u\1}", text)
    text = re.sub("((?:\\d[\u0304\u0305])+)", lambda found: f"\\overline{{{re.sub('[^0-9]', '', found[1])}}}", text)
    text = re.sub("^([A-J])、(?!(?:.*、)?[A-J](?:、|$))", r"\1. ", text)
    text = re.sub("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ⁿⁱˣ]+", lambda found: f"^{{{found[0].translate(_RAISED)}}}", text)
    text = re.sub("[₀₁₂₃₄₅₆₇₈₉₊₋₍₎ₙₓᵢ]+", lambda found: f"_{{{found[0].translate(_LOWERED)}}}", text)
    return text.translate(_TABLE)


def _is_tuple(text: str, found: re.Match[str]) -> bool:
    """``(100,200)``: brackets stand right around the digits."""
    return text[found.start() - 1 : found.start()] in {"(", "[", "{"} and text[found.end() : found.end() + 1] in set(
        ")]}\\"
    )


def _roman(found: re.Match[str]) -> str:
    """Upright letters: what may be a unit keeps its mark, the rest stands as plain text."""
    inside = found[1].replace("~", " ").strip()
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
        text = re.sub(r"^([A-Za-z]) is (?=[^A-Za-z])", r"\1 = ", text)
        text = re.sub(
            r"^(?:[:=,;]|\.(?=\s)|\\approx|[Aa]pproximately\b|[Aa]bout(?=\s*-?\d*\.\d)|\\therefore|\\implies|\\Rightarrow|•)\s*",
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
