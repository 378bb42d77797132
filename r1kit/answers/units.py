r"""Units after a number: ``15 cm^2``, ``12\text{ km}/\text{h}``, ``18 eggs``, ``35元``, ``$7.50``.

A letter alone is a variable (``5t``, ``2g``), but where it stands upright (``5\text{ m}``), or apart from a plain
number (``5 m``) and is one of ``m g L``.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from r1kit.answers.numerals import split_scale
from r1kit.answers.words import CONNECTORS, DENIALS, DENOMINATORS, FUNCTIONS, MULTIPLES, NAMES, NUMBERS, POWERS, words

__all__ = [
    "CURRENCIES",
    "Quantity",
    "in_base",
    "is_unit",
    "other_quantities",
    "same_unit",
    "split_measures",
    "split_unit",
]

_SPELLINGS = """
m meter meters metre metres 米|cm centimeter centimeters centimetre centimetres 厘米|
mm millimeter millimeters millimetre millimetres 毫米|km kilometer kilometers kilometre kilometres 千米 公里|
in inch inches|ft foot feet 英尺|yd yard yards|mi mile miles 英里|nm nanometer nanometers|
dm decimeter decimeters 分米|g gram grams 克|
kg kilogram kilograms kilo kilos 千克 公斤|mg milligram milligrams|lb lbs|pound pounds|oz ounce ounces|
ton tons tonne tonnes 吨|s sec secs second seconds 秒|min mins minute minutes 分钟|h hr hrs hour hours 小时 时|
day days 天 日|week weeks wk wks 周|month months 月|year years yr yrs 年|L l liter liters litre litres 升|
mL ml milliliter milliliters millilitre millilitres cc 毫升|gal gallon gallons|qt quart quarts|pt pint pints|cup cups|
dollar dollars usd USD 美元|cent cents|euro euros eur EUR 欧元|gbp GBP|yuan rmb RMB CNY 元 人民币|yen JPY 日元|
peso pesos Php PHP|rupee rupees Rs|ohm ohms|N newton newtons|J joule joules|kJ kilojoule kilojoules|W watt watts|
kW kilowatt kilowatts|V volt volts|A amp amps ampere amperes|Hz hertz|kHz kilohertz|MHz megahertz|Pa pascal pascals|
kPa kilopascal kilopascals|K kelvin kelvins|mol mole moles|mmol millimole millimoles|rad radian radians|
deg degree degrees 度|unit units 单位|sq square 平方|cu cubic 立方|mph|kph|rpm|eV|keV|MeV|GeV|C coulomb coulombs|
F farad farads|acre acres|ha hectare hectares|T tesla teslas|Wb|kN|MPa|GPa|GHz|
mA milliamp milliamps milliampere milliamperes|mV|kV|MW|kWh|kcal|atm atmosphere atmospheres|
um micron microns micrometer micrometers micrometre micrometres|us microsecond microseconds|
ms millisecond milliseconds|ug microgram micrograms|uA|uV|uC microcoulomb microcoulombs|uF microfarad microfarads|uL|
dB decibel decibels|ly|mmHg|bit bits|byte bytes|KB kilobyte kilobytes|MB megabyte megabytes|GB gigabyte gigabytes|
TB terabyte terabytes
"""
_KNOWN = {word: group.split()[0] for group in _SPELLINGS.replace("\n", " ").split("|") for word in group.split()}
_KNOWN |= {"mph": "mi/h", "kph": "km/h", "M": "mol/L", "molar": "mol/L", "mpg": "mi/gal"}
_SIZES = {
    name: (base, Fraction(size))
    for base, sizes in {
        "m": {"nm": "1e-9", "um": "1e-6", "mm": "1e-3", "cm": "1e-2", "dm": "1e-1", "km": "1e3"},
        "in": {"ft": "12", "yd": "36", "mi": "63360"},
        "g": {"ug": "1e-6", "mg": "1e-3", "kg": "1e3"},
        "pound": {"lb": "1", "oz": "1/16"},
        "s": {"us": "1e-6", "ms": "1e-3", "min": "60", "h": "3600", "day": "86400", "week": "604800"},
        "year": {"month": "1/12"},
        "L": {"uL": "1e-6", "mL": "1e-3"},
        "gal": {"qt": "1/4", "pt": "1/8", "cup": "1/16"},
        "dollar": {"cent": "1e-2"},
        "A": {"mA": "1e-3", "uA": "1e-6"},
        "V": {"mV": "1e-3", "kV": "1e3", "uV": "1e-6"},
        "N": {"kN": "1e3"},
        "J": {"kJ": "1e3"},
        "W": {"kW": "1e3", "MW": "1e6"},
        "Pa": {"kPa": "1e3", "MPa": "1e6", "GPa": "1e9"},
        "Hz": {"kHz": "1e3", "MHz": "1e6", "GHz": "1e9"},
        "eV": {"keV": "1e3", "MeV": "1e6", "GeV": "1e9"},
        "C": {"uC": "1e-6"},
        "F": {"uF": "1e-6"},
        "mol": {"mmol": "1e-3"},
        "bit": {"byte": "8"},
    }.items()
    for name, size in sizes.items()
}
"""Unit -> (base, how many of it)."""
_CURRENCY = {
    "\\$": "dollar", "$": "dollar", "€": "euro", "£": "gbp", "¥": "yuan", "¢": "cent", "₹": "rupee",
    "₱": "peso", "₩": "won",
}  # fmt: skip
CURRENCIES = frozenset(_CURRENCY.values())
_LONE = ("m", "g", "L")
_PRODUCTS = frozenset(map(frozenset, ("Nm", "Ns", "Js", "As", "Ah", "Wh", "Ws", "Vs", "VA", "Cm")))
"""Units that are two letters with a sign between them: ``N \\cdot m``."""
_RAISED = r"(?:\s*\^\s*\{?\s*-?\d\s*\}?)?"
_ATOM = rf"(?:\\text\{{[A-Za-z]{{1,3}}\.?\}}|[A-Za-z]+(?![A-Za-z])\.?|[一-鿿]+(?![一-鿿])){_RAISED}"
_MORE = rf"(?:(?:\s*(?:/|\\cdot)\s*|\s*){_ATOM}){{0,6}}"
"""Each run of letters can be taken in one way only, and few of them, so that no text is tried in many ways."""
_UNIT = rf"{_ATOM}{_MORE}"
_AFTER_NUMBER = re.compile(rf"(?P<body>.*?(?:[^A-Za-z\\\s_{{一-鿿]|\\pi))(?P<gap>\s*)(?P<unit>{_UNIT})", re.DOTALL)
_AFTER_ANY = re.compile(
    rf"(?P<body>.*?\S)(?P<gap>\s*)(?P<unit>\\text\{{[A-Za-z]{{1,3}}\.?\}}{_RAISED}{_MORE})", re.DOTALL
)
_AFTER_LETTER = re.compile(r"(?P<body>.*\d.*?)(?P<gap>\s+)(?P<unit>[A-Za-z]{2,}(?:\^\{?\d\}?)?)", re.DOTALL)
_DEGREE = re.compile(
    r"(?!.*\\(?:sin|cos|tan|cot|sec|csc))(?P<body>.+?)\s*\^\s*\{\s*\\circ\s*\}\s*(?P<scale>\\text\{[CF]\}|[CF])?"
)
_MONEY = re.compile(
    r"(?P<sign>[-+]?)\s*(?P<mark>\\\$|[$€£¥₹₱₩]|Rs\.?|Php|PHP|USD|EUR|RMB)\s*(?P<minus>-?)(?P<body>.*)", re.DOTALL
)
_MONEY_AFTER = re.compile(r"(?P<body>.*\d)\s*(?P<mark>\\\$|[€£¥¢₹₱₩])")
_SCALED = re.compile(r"(?P<mark>\\\$|[$€£¥₹₱₩])?\s*(?P<body>\d+(?:\.\d+)?)(?P<gap>\s?)(?P<scale>[kKM])")
_MODULUS = re.compile(r"(?P<body>.*\S)\s*\\modulo\{(?P<modulus>\w+)\}")
_FEET = re.compile(r"(?P<body>[\d./ ]+)(?P<mark>''?)")
_MEASURE = re.compile(r"(\d+)\s*(\\text\{[A-Za-z]{1,3}\.?\}|[A-Za-z]+|[一-鿿]+)\s*(?:,?\s*and\b|,)?\s*")
_OVER = re.compile(r"(?<=[A-Za-z}])\s*/\s*\(([A-Za-z\\{}\s]+)\)$")
"""``J/(mol K)``."""
_PLAIN = re.compile(r"[-+\d.,\s/{}]*(?:\\frac[\d\s{}]+)?[-+\d.,\s/{}]*(?:\\cdot\s*10\s*\^[-\d{}\s]+)?")
_NOT_NOUNS = (
    CONNECTORS | DENIALS | FUNCTIONS | frozenset((*NAMES, *POWERS, *NUMBERS, *MULTIPLES))
    | frozenset(words(
        "out percent than plus minus over choose mod pm am squared cubed times dot factorial nothing none nowhere "
        "impossible invalid undefined unknown rejected excluded"
    ))
)  # fmt: skip
_NOT_COUNTED = re.compile(r"以[上下内外前后]|[多余半万亿十不错非没]|百(?!分点)|千(?![米克瓦卡焦帕])|左右|分之|^的")
"""Chinese that changes the number before it."""


def is_unit(word: str) -> bool:
    """Whether a word or symbol stands for a unit."""
    return word in _KNOWN


def same_unit(one: str, other: str) -> bool:
    """Whether two units in their normal form are one; pounds weigh or pay."""
    return one == other or {one, other} in ({"pound", "lb"}, {"pound", "gbp"})


def in_base(unit: str) -> tuple[str, Fraction]:
    """(the unit in meters, inches, grams, seconds, dollars; how many of it one is): ``cm^2`` is 1/10000 m^2."""
    powers: dict[str, int] = {}
    size = Fraction(1)
    for part in unit.split():
        name, _, power = part.partition("^")
        base, scale = _SIZES.get(name, (name, Fraction(1)))
        times = int(power or 1)
        size *= scale**times
        if base == "L":
            base, size, times = "m", size / 1000**times, 3 * times
        powers[base] = powers.get(base, 0) + times
    return " ".join(f"{name}^{power}" for name, power in sorted(powers.items())), size


@dataclass(frozen=True, slots=True)
class Quantity:
    body: str
    """What the unit stands after."""
    unit: str
    """Its normal form, ``cm^2`` for square centimeters; empty if there is none."""
    counted: bool = False
    """The unit is a plain noun: ``eggs``."""


def split_measures(text: str) -> Quantity | None:
    """``3 hours and 20 minutes`` in the last of its units, ``5 ft 3 in``; None where they are not of one kind and each
    larger than the next."""
    parts: list[tuple[int, str]] = []
    place = 0
    while (found := _MEASURE.match(text, place)) and len(parts) < 4:
        word = found[2].removeprefix("\\text{").rstrip(".}")
        if word not in _KNOWN and word.lower() not in _KNOWN:
            return None
        parts.append((int(found[1]), _normal(word)))
        place = found.end()
    if place < len(text) or len(parts) < 2:
        return None
    bases, sizes = zip(*(in_base(unit) for _, unit in parts), strict=True)
    if len(set(bases)) > 1 or any(one <= other for one, other in itertools.pairwise(sizes)):
        return None
    value = sum((count * size for (count, _), size in zip(parts, sizes, strict=True)), Fraction(0)) / sizes[-1]
    return Quantity(str(value), parts[-1][1])


def split_unit(text: str) -> Quantity | None:
    """A text that is a number or formula with a unit; None if it ends in no unit."""
    text = _OVER.sub(r"/\1", text)
    if found := _MONEY.fullmatch(text):
        unit = _CURRENCY.get(found["mark"]) or _KNOWN[found["mark"].rstrip(".")]
        inner = split_unit(re.sub(r"(?<=\d)\s*/\s*(?=[A-Za-z])", " per ", found["body"]))
        if inner is not None and inner.unit not in ("", unit) and not inner.counted:
            if not inner.unit.endswith("^-1"):
                return None
            unit = f"{unit} {inner.unit}"
        return Quantity(found["sign"] + found["minus"] + (inner.body if inner else found["body"]), unit)
    if found := _MONEY_AFTER.fullmatch(text):
        return Quantity(found["body"], _CURRENCY[found["mark"]])
    if scale := split_scale(text):
        inner = split_unit(f"1 {scale[1]}") if scale[1] else None
        if scale[1] and (inner is None or inner.body != "1"):
            return None
        return Quantity(scale[0], inner.unit if inner else "", counted=inner is not None and inner.counted)
    if found := _DEGREE.fullmatch(text):
        return Quantity(found["body"], f"deg{(found['scale'] or '').strip('}')[-1:]}")
    if found := _MODULUS.fullmatch(text):
        return Quantity(found["body"], f"mod{found['modulus']}")
    if found := _FEET.fullmatch(text):
        return Quantity(found["body"], "ft" if found["mark"] == "'" else "in")
    for pattern in (_AFTER_NUMBER, _AFTER_ANY, _AFTER_LETTER):
        found = pattern.fullmatch(text)
        quantity = found and _quantity(found["body"], bool(found["gap"]), found["unit"], pattern is _AFTER_LETTER)
        if quantity:
            return quantity
    return None


def other_quantities(text: str) -> Iterator[Quantity]:
    """What else a formula may be that ends in letters: ``10 s`` seconds, ``5k`` and ``\\$5k`` thousands."""
    found = _AFTER_NUMBER.fullmatch(text)
    unit = found["unit"].replace("\\cdot", " ") if found else ""
    if found and all(name in _KNOWN for name in re.findall(r"[A-Za-z]+|[一-鿿]+", unit.replace("\\text", " "))):
        yield Quantity(found["body"], _normal(unit))
    if (found := _SCALED.fullmatch(text)) and (found["mark"] or not found["gap"]):
        power = 6 if found["scale"] == "M" else 3
        yield Quantity(f"{found['body']} \\cdot 10^{{{power}}}", _CURRENCY.get(found["mark"] or "", ""))


def _quantity(body: str, apart: bool, unit: str, after_letter: bool) -> Quantity | None:
    dotted = "\\cdot" in unit
    body, unit = body.removesuffix("\\cdot").rstrip(), unit.replace("\\cdot", " ")
    marked = re.findall(r"(?:\\text\{)?[A-Za-z]+|[一-鿿]+", unit)
    bare = [word.removeprefix("\\text{") for word in marked]
    upright, first = marked[0].startswith("\\text"), bare[0]
    plain = bool(_PLAIN.fullmatch(body))
    if not body or body[-1] in "+-*/^_=<>([{|,":
        return None
    if all(word in _KNOWN or word.lower() in _KNOWN or word == "per" for word in bare):
        lone = len(first) == 1 and first.isascii() and not upright
        product = apart and ("-" in unit or (dotted and frozenset(bare) in _PRODUCTS))
        compound = len(bare) > 1 and plain and ("/" in unit or product)
        if lone and not compound and not (plain and apart and len(bare) == 1 and first in _LONE):
            return None
        if not plain and after_letter and first not in _KNOWN:
            return None
        return Quantity(body, _normal(unit))
    if (
        all(map(_may_be_noun, bare, (*bare[1:], "of")))
        and plain
        and len(bare) <= 5
        and (apart or upright or not first.isascii())
    ):
        return Quantity(body, " ".join(_singular(word) for word in bare), counted=True)
    return None


def _may_be_noun(word: str, after: str) -> bool:
    """``third`` may be part of one, of ``third graders``; alone or before ``of`` it is a part of the number."""
    if not word.isascii():
        return word in _KNOWN or not _NOT_COUNTED.search(word)
    if word.lower() in _KNOWN or word == "of":
        return True
    one = word.lower().removesuffix("s")
    if one in DENOMINATORS or word.lower() in DENOMINATORS:
        return one == "quarter" or (after != "of" and word == one)
    return len(word) >= 3 and word.lower() not in _NOT_NOUNS and one not in _NOT_NOUNS


def _singular(word: str) -> str:
    word = word.lower()
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 3 else word


def _normal(unit: str) -> str:
    """``km/h`` of ``kilometers per hour``, ``cm^2`` of ``square centimeters``: names with their powers, in order."""
    powers: dict[str, int] = {}
    sign, pending = 1, 1
    for name, raised, slash in re.findall(
        r"(?:\\text\{)?([A-Za-z]+|[一-鿿]+)\.?\}?(?:\s*\^\s*\{?\s*(-?\d)\s*\}?)?|(/)", unit
    ):
        if slash or name == "per":
            sign = -1
            continue
        known = _KNOWN.get(name) or _KNOWN[name.lower()]
        if known in ("sq", "cu"):
            pending = 2 if known == "sq" else 3
            continue
        above, _, below = known.partition("/")
        power = int(raised or 1) * pending
        powers[above] = powers.get(above, 0) + sign * power
        if below:
            powers[below] = powers.get(below, 0) - sign * power
        pending = 1
    return " ".join(f"{name}^{power}" if power != 1 else name for name, power in sorted(powers.items()))
