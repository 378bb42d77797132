"""The words of answers: functions, Greek letters and numbers spelled out, what joins, what denies."""

from __future__ import annotations

__all__ = [
    "CONNECTORS",
    "DENIALS",
    "DENOMINATORS",
    "EVERYDAY",
    "FUNCTIONS",
    "GREEK",
    "MULTIPLES",
    "NAMES",
    "NUMBERS",
    "POWERS",
    "VERDICTS",
    "words",
]


def words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


CONNECTORS = frozenset(words("and or to if is are for in the of"))
FUNCTIONS = frozenset(
    words(
        "sin cos tan cot sec csc sinh cosh tanh coth arcsin arccos arctan arccot asin acos atan ln log lg exp abs gcd "
        "lcm max min det"
    )
)
GREEK = frozenset(
    words(
        "alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi pi rho sigma tau "
        "upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega ell hbar angle "
        "triangle"
    )
)
NAMES = {
    **{name: name for name in GREEK - {"xi", "mu", "nu", "eta", "angle", "triangle", "tau", "chi"}},
    **{"sqrt": "sqrt", "cbrt": "cbrt", "infinity": "infty", "infty": "infty", "inf": "infty", "oo": "infty"},
}
"""Words that stand for a command when they are written without its backslash."""
NUMBERS = {
    word: number
    for number, word in enumerate(
        words(
            "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
            "seventeen eighteen nineteen twenty"
        )
    )
} | {"thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90}
DENOMINATORS = {
    **{"half": 2, "halves": 2, "quarter": 4, "hundredth": 100, "thousandth": 1000, "millionth": 10**6},
    **{word: below for below, word in enumerate(words("third fourth fifth sixth seventh eighth ninth tenth"), 3)},
}
"""Parts of one; a second is a time."""
EVERYDAY = frozenset(words(
    "act age ago air all and ant any ape are arm art ask bag bat bed bee big bit box boy bus but buy can cap car cat "
    "cow cry cup cut day did dog dry ear eat egg end eye far fat few fig fit fly for fox fun gas get god got gun had "
    "has hat her him his hit hot how ice ill ink its jam jar job key kid lab lap law leg let lid lie lot low mad man "
    "map mat may men met mix mud net new nor not now nut oak off oil old our out owl own pan pay pea pen pet pie pig "
    "pin pit pop pot put ran rat raw red rib row rug run sad sat saw say sea see set she sit sky son spy sun tap tar "
    "tea the tie tip toe too top toy try use van war was way web wet who why wig win won yes yet you zoo"
))  # fmt: skip
"""Words of three letters that would be products of letters."""
POWERS = {
    **{"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12, "mln": 6, "bln": 9, "lakh": 5},
    **{
        "crore": 7,
        "千": 3,
        "万": 4,
        "十万": 5,
        "百万": 6,
        "千万": 7,
        "亿": 8,
        "十亿": 9,
        "百亿": 10,
        "千亿": 11,
        "万亿": 12,
    },
}
"""Word -> power of ten."""
MULTIPLES = {"dozen": 12}
DENIALS = frozenset(
    words(
        "not no never neither nor without false wrong incorrect isn't aren't wasn't cannot can't if unless between "
        "maybe either except than least most about"
    )
)
"""Words after which ``is 7`` does not say that the answer is 7."""
VERDICTS = {
    **dict.fromkeys(words("true 是 是的 对 正确"), "yes"),
    **dict.fromkeys(words("false 否 不是 不对 错 错误 不正确"), "no"),
}
"""Other words for yes and no: a question of either kind is answered with each."""
