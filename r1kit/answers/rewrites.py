r"""Spellings and what they are rewritten as: commands that look alike, ways to write an interval, a family, a base."""

from __future__ import annotations

import re
from collections.abc import Callable

from r1kit.answers.dates import DATES
from r1kit.answers.numerals import in_digits, words_in_digits
from r1kit.answers.phrases import PHRASES
from r1kit.answers.units import is_unit
from r1kit.answers.words import DENOMINATORS, NAMES, NUMBERS, POWERS

__all__ = ["EVERYWHERE", "WHOLE"]

Rewrite = tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]


def _tangent(found: re.Match[str]) -> str:
    r"""``\tg`` and ``\operatorname{arcctg}``, as Russians write it."""
    return f"\\{found[1] or found[3] or ''}{'cot' if found[2] or found[4] else 'tan'} "


_MARKED = re.compile(
    r"\\(?:mathbf|boldsymbol|bm|vec|hat|widehat|overrightarrow)\s*(?:\{\s*\\?([ijk])(?:math)?\s*\}|\\?([ijk])(?:math)?(?![A-Za-z]))"
)


def _unit_vectors(found: re.Match[str]) -> str:
    """A text without the marks of unit vectors, where it has two of them."""
    text = found[0]
    named = {each[1] or each[2] for each in _MARKED.finditer(text)}
    return _MARKED.sub(lambda each: f" {each[1] or each[2]} ", text) if len(named) > 1 else text


_ESCAPED = re.compile(
    r"\\\\(?=(?:[dt]?frac|sqrt|text|boxed|left|right|cdot|times|infty|leq?|geq?|pm|cup|mathrm|mathbb|pi|sin|cos|tan"
    r"|ln|log)(?![A-Za-z]))"
)


def _once_escaped(found: re.Match[str]) -> str:
    """A text without rows, where the backslash of a command was escaped once too often."""
    return _ESCAPED.sub(r"\\", found[0])


EVERYWHERE: tuple[Rewrite, ...] = tuple(
    (re.compile(pattern), into)
    for pattern, into in (
        (r"<br\s*/?>|</?answer>", " "),
        (r"(?s)^(?!.*\\begin).*$", _once_escaped),
        (r"(?<![A-Za-z\\])([dt]?frac)(?=\{)|\x0crac(?=\{)", r"\\frac"),
        (r"<sup>([^<>]*)</sup>", r"^{\1}"),
        (r"<sub>([^<>]*)</sub>", r"_{\1}"),
        (r"\\(?:left|right|middle)(?![A-Za-z])\s*\.?", ""),
        (r"\\(?:[bB]ig{1,2}[lrgm]?|displaystyle|textstyle|scriptstyle|limits|nolimits|rm|bf|it"
         r"|tiny|small|normalsize|[lL]arge|LARGE|[hH]uge)(?![A-Za-z])|\\color\s*\{\w+\}", ""),
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
        (r"(?<=[,+\s])\.\.\.(?=\s*[,+])", r"\\ldots "),
        (r"\\var(phi|epsilon)(?![A-Za-z])", r"\\\1 "),
        (r"\\overrightarrow(?![A-Za-z])", r"\\vec"),
        (r"\\surd(?![A-Za-z])", r"\\sqrt "),
        (r"\\(arc)?(?:tg|(c)tg)(?![A-Za-z])|\\operatorname\*?\s*\{\s*(arc)?(?:tg|(c)tg)\s*\}", _tangent),
        (r"(?<![A-Za-z\\])log(2|10)(?=\()", r"\\log_{\1}"),
        (r"(?<![\w.])0x([\dA-Fa-f]{1,16})(?!\w)", lambda found: f"{found[1].upper()}_{{16}}"),
        (r"(?<![\w.])0b([01]+)(?!\w)", r"\1_2"),
        (r"(?<![\w.])0o([0-7]+)(?!\w)", r"\1_8"),
        (r"(?<=[)\]])\s*U\s*(?=[(\[][^()\[\]]*,)", r" \\cup "),
        (r"\\(?:bar)\s*(?=\{\d)", r"\\overline"),
        (r"\^\s*\{\s*(?:\\circ|\\degree|o|\\(?:mathrm|text|rm)\s*\{\s*o\s*\})\s*\}|\^\s*\\(?:circ|degree)(?![A-Za-z])|\\degree(?![A-Za-z])"
         r"|(?<=\d)\s*\^\s*(?:o(?!\w)|\\(?:mathrm|text)\s*\{\s*o\s*\})", r"^{\\circ}"),
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
        (r"(?<![A-Za-z\\])(?:US|CA|AU|HK|NZ|NT|[CASR])\s*\\?\$(?=\s*-?\.?\d)", r"\\$"),
        (r"\+\s*\\infty", r"\\infty"),
        (r"(?<=\d)\s*[xX]\s*(?=10\s*\^)", r"\\cdot "),
        (r"\bor both\b", ""),
        (r"[✓✔✅☑]\ufe0f?|\\checkmark(?![A-Za-z])|(?:[■∎]|\\(?:blacksquare|qed)(?![A-Za-z]))[\s$.]*$", ""),
        (r"\\colon(?![A-Za-z])", ":"),
        (r"\\mathcal\s*\{?\s*O\s*\}?(?=\s*(?:\\left\s*)?\()", "O"),
        (r"\\mathbb\s*([A-Z])(?![A-Za-z])", r"\\mathbb{\1}"),
        (r"(?<=[A-Za-z\d])\s*//\s*(?=[A-Za-z])", r"\\parallel "),
        (r"(?<![A-Za-z\\])((?!a(?:sin|cos|tan))[a-z]{1,2})(sin|cos|tan)(?=\s*[(\\])", r"\1 \\\2"),
        (r"(?s)^.*$", _unit_vectors),
    )
)  # fmt: skip
_FOR = r"(?<=\S)\s*,?\s*\b(?:for|where|with)\s+(?:(?:all|any|some|every|each)\s+)?"
_EXCEPT = r"^(?:[Aa]ll )?(?:the )?(?:real numbers?|reals)(?: [a-z])? (?:except|other than)(?: for)? "


_NO_SHARE = frozenset((*NUMBERS, *DENOMINATORS, *POWERS, *NAMES, "and", "or", "what"))
_CHINESE_COUNTS = frozenset("个只条本张人名岁")
_LETTERS = frozenset("NJWVACFKTl")
"""Units that may be a choice or a factor in brackets."""
_ROMAN = r"(?:I{1,3}|IV|VI{0,3}|IX|X)"
_POWERED = r"(?:[cdkm]?m|in|ft|yd|mi)"


def _bracketed_unit(found: re.Match[str]) -> str:
    """``5 (cm)``; a letter that may be a choice or a factor stays in its brackets."""
    names = re.findall(r"[A-Za-z]+|[一-鿿]+", re.sub(r"\\text|\\cdot", " ", found[1]))
    known = all(name in _CHINESE_COUNTS or (is_unit(name) and name not in _LETTERS) for name in names)
    return f" {found[1]}" if names and known else found[0]


def _and_a_half(found: re.Match[str]) -> str:
    return rf"{NUMBERS.get(found[1], found[1])} \frac{{1}}{{2}}"


def _raised(found: re.Match[str]) -> str:
    """``meters per second squared``."""
    known = is_unit(found[1]) and found[1] not in ("unit", "dollars")
    return f"{found[1]}^{2 if found[2] == 'squared' else 3}" if known else found[0]


def _share(found: re.Match[str]) -> str:
    """``40% of the students``; of a number it would be another number."""
    return found[0] if not _NO_SHARE.isdisjoint(found[1].split()) else ""


_COMPARED = {
    "greater than or equal to": r"\ge", "less than or equal to": r"\le", "greater than": ">", "less than": "<",
    "at least": r"\ge", "at most": r"\le",
}  # fmt: skip
_SEQUENCE = (
    r"^(?=.{3,200}$)(.*(?<![A-Za-z])n(?![A-Za-z]).*?)\s*,?\s*\(?\s*(?<![A-Za-z])n\s*"
    r"(?:\\in\s*(?:\\(?:mathbb|mathbf)\s*\{?\s*)?(?:N\}?\s*(?:\^|_)?\s*\{?[*+]?|Z\}?\s*[\^_]\s*\{?[*+])\}?|\\ge\s*1)\s*\)?$"
)
"""A term of a sequence with what its n is, which goes without saying."""


def _said_twice(found: re.Match[str]) -> str:
    """``18`` of ``18 (eighteen)`` and of ``eighteen (18)``, ``0.5 or 1/2`` of ``0.5 (or 1/2)`` and ``0.5 (1/2)``."""
    value, told, again = found[1], found[2], found[3].strip()
    for number, words in ((value, again), (again, value)):
        if re.fullmatch(r"-?\d+", number) and number == in_digits(words_in_digits(words)):
            return number
    number = r"-?(?:\d[\d.,/]*|\\frac\s*\{\d+\}\s*\{\d+\})\s*\\?%?"
    plain = re.fullmatch(number, value) and re.fullmatch(number, again)
    return f"{value} or {again}" if plain and (told or not again.isdigit()) else found[0]


def _quotient_of_units(found: re.Match[str]) -> str:
    """``9.8 \\frac{m}{s^2}``."""
    return f" {found[1]}/{found[2]}{found[3] or ''}" if is_unit(found[1]) and is_unit(found[2]) else found[0]


def _in_degrees(found: re.Match[str]) -> str:
    """``30^\\circ 15'`` as one number of degrees."""
    seconds = int(found[1]) * 3600 + int(found[2]) * 60 + int(found[3] or 0)
    return rf"\frac{{{seconds}}}{{3600}}^{{\circ}}"


def _interval(found: re.Match[str]) -> str:
    """``]2, 5[`` as the French write it: a bracket that looks away leaves its end out."""
    return f"{'[' if found[1] == '[' else '('}{found[2]}{']' if found[3] == ']' else ')'}"


WHOLE: tuple[Rewrite, ...] = tuple(
    (re.compile(pattern), into)
    for pattern, into in (
        *DATES,
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
        *PHRASES,
        (r"\+\s*\\text\{C\}$", "+ C"),
        (r"^(\d{1,2})\s*([apAP][mM])$", r"\1:00 \2"),
        (r"^(?:minus|negative)\s+(?=\S)", "-"),
        (r"^([\dA-F]+)\s*,?\s*\(?\s*(?:in\s+)?base[\s-]+(\w+)\s*\)?$", r"\1_{\2}"),
        (r"(?<=\d)\s*_\s*(?:\{\s*10\s*\}|10(?!\d))", ""),
        (r"^\((\w+)\)(?=\s*_)", r"\1"),
        (r"(?<=[A-Za-z)\]\d}])\s*\^\s*\{?\s*(\d*)\s*([+-])\s*\}?$", r"^{\1\2}"),
        (r"^(-?\d+) over (\d+)$", r"\\frac{\1}{\2}"),
        (r"^(.{1,40}?)\s\s*\(\s*(or |= ?|i\.e\.,? )?([^()]{1,40})\)$", _said_twice),
        (_SEQUENCE, r"\1"),
        (
            rf"^[Aa]ll (?:real )?(?:numbers|values|(?:values of )?([a-z]))(?: that are)? ({'|'.join(_COMPARED)}) "
            r"(-?[^\s,]+)$",
            lambda found: f"{found[1] or 'x'} {_COMPARED[found[2]]} {found[3]}",
        ),
        (
            r"(?<=\d)\s*\\frac\s*\{\s*([A-Za-z]{1,3})\s*\}\s*\{\s*([A-Za-z]{1,3})(\s*\^\s*\{?\d\}?)?\s*\}$",
            _quotient_of_units,
        ),
        (
            r"^(\d{1,3})\^\{\\circ\}\s*([0-5]?\d)\s*(?:'|\^\s*\{?\s*\\prime\s*\}?)"
            r"(?:\s*([0-5]?\d)\s*(?:''|\^\s*\{?\s*\\prime\s*\\prime\s*\}?))?$",
            _in_degrees,
        ),
        (
            r"^([(\[][^()\[\]]*,[^()\[\]]*[)\]])\s*\^\s*\{?\s*(?:\\text\{T\}|T|\\top|\\intercal)\s*\}?$",
            lambda found: f"({found[1][1:-1]})",
        ),
        (
            r"(?<=[\d}])\s*\(\s*((?:\\text\{[A-Za-z]{1,3}\}|\\cdot|\^\s*\{?-?\d\}?|[A-Za-z一-鿿/\s]){1,40})\s*\)$",
            _bracketed_unit,
        ),
        (
            rf"(?<=\d)(\s*(?:[cdk]m|mm|in|ft|yd|mi)|\s+m|\s*(?:[km]?g|[kM]?N|[kM]?J|[kM]?W|k?m)/{_POWERED}|\s*k?m/s)"
            r"([23])$",
            r"\1^\2",
        ),
        (r"(?<=[\d}])\s*times(?: as (?:many|much))?$", ""),
        (r"(?<=\d)\s*/\s*(sec|second|min|minute|hr|hour|day|week|month|year|yr|person)$", r" per \1"),
        (r"(?<=[\w}])\s+(?:an?|every|each)\s+(second|minute|hour|day|week|month|year)$", r" per \1"),
        (r"^an?\s+(?=\d+(?:\.\d+)?\\?%)", ""),
        (r"(?<=%)\s*(?:off|increase|decrease|discount|chance|probability)$", ""),
        (r"(?<=%)\s*of((?: [a-z][a-z'-]{2,}){1,5})$", _share),
        (r'(?<=\d)\s*"$', "''"),
        (r"(?<=[\d}])\s*(?:degrees?|\^\s*\{\s*\\circ\s*\})\s*([CF])(?:elsius|ahrenheit)?$", r"^{\\circ}\1"),
        (r"(?<=[\da-z}] )([A-Za-z]+) (squared|cubed)$", _raised),
        (r"(?<=\d)[\s-]*((?:year|month|week|day)s?)[\s-]old$", r" \1"),
        (rf"^(\d+|{'|'.join(NUMBERS)}) and (?:a|one)[ -]half\b", _and_a_half),
        (rf"^(?:[Oo]nly )?({_ROMAN}(?:(?:, | and |, and ){_ROMAN})*)(?: only)?$", r"\1"),
        (r"^(?:(?:\{\s*\})?[_^]\s*\{?(\d{1,4})\}?\s*C\s*_\s*\{?|(\d{1,4})C)(\d{1,4})\}?$", r"\\binom{\1\2}{\3}"),
    )
)
"""Of the whole, once nothing stands around it."""
