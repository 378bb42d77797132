# ruff: noqa: E501
"""Writes repairs.jsonl: small repositories, each with bugs put in one at a time, and the tests that then fail.

    python recipes/data/make_repairs.py

Every problem is tried behind the walls: with the bug exactly the tests that it names fail, with the edits that take it
back all pass. Problems of one repository are one cluster.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from r1kit.sandbox import SandboxSettings
from r1kit.tasks.code.config import programs_ladder
from r1kit.tasks.code.judge import Judge
from r1kit.tasks.swe.assemble import program_of, test_file

SHAPES = {
    "shapes/__init__.py": "",
    "shapes/area.py": (
        "from math import pi\n\n\n"
        "def circle(radius):\n    return pi * radius**2\n\n\n"
        "def rectangle(width, height):\n    if width < 0 or height < 0:\n"
        '        raise ValueError("a side is negative")\n    return width * height\n\n\n'
        "def triangle(base, height):\n    return rectangle(base, height) / 2\n"
    ),
    "shapes/compare.py": (
        "from shapes.area import circle, rectangle\n\n\n"
        "def larger(one, other):\n    return one if one[1] >= other[1] else other\n\n\n"
        "def named(name, *sizes):\n"
        '    kinds = {"circle": circle, "rectangle": rectangle}\n    return (name, kinds[name](*sizes))\n'
    ),
}
SHAPES_TESTS = {
    "tests/test_area.py": (
        "from shapes.area import circle, rectangle, triangle\n\n\n"
        "def test_circle():\n    assert abs(circle(3) - 28.274333882308138) < 1e-9\n\n\n"
        "def test_rectangle():\n    assert rectangle(3, 4) == 12\n\n\n"
        "def test_negative():\n    try:\n        rectangle(3, -1)\n    except ValueError:\n        return\n"
        "    assert False\n\n\n"
        "def test_triangle():\n    assert triangle(3, 4) == 6\n"
    ),
    "tests/test_compare.py": (
        "from shapes.compare import larger, named\n\n\n"
        'def test_larger():\n    assert larger(("a", 1), ("b", 2)) == ("b", 2)\n\n\n'
        'def test_equal_takes_the_first():\n    assert larger(("a", 2), ("b", 2)) == ("a", 2)\n\n\n'
        'def test_named():\n    assert named("rectangle", 2, 5) == ("rectangle", 10)\n'
    ),
}
LEDGER = {
    "ledger/__init__.py": "",
    "ledger/money.py": (
        "def parse(text):\n"
        '    """Cents of a text such as 12.34 or -0.5."""\n'
        '    sign = -1 if text.startswith("-") else 1\n'
        '    whole, _, part = text.lstrip("+-").partition(".")\n'
        '    return sign * (int(whole or 0) * 100 + int((part + "00")[:2]))\n\n\n'
        "def spelled(cents):\n"
        '    sign = "-" if cents < 0 else ""\n'
        '    return f"{sign}{abs(cents) // 100}.{abs(cents) % 100:02d}"\n'
    ),
    "ledger/account.py": (
        "from ledger.money import parse, spelled\n\n\n"
        "def balance(entries):\n    return spelled(sum(parse(amount) for _, amount in entries))\n\n\n"
        "def by_day(entries):\n    days = {}\n    for day, amount in entries:\n"
        "        days[day] = days.get(day, 0) + parse(amount)\n    return dict(sorted(days.items()))\n\n\n"
        "def overdrawn(entries):\n    total = 0\n    for day, amount in entries:\n"
        "        total += parse(amount)\n        if total < 0:\n            return day\n    return None\n"
    ),
}
LEDGER_TESTS = {
    "tests/test_money.py": (
        "from ledger.money import parse, spelled\n\n\n"
        'def test_parse():\n    assert parse("12.34") == 1234\n    assert parse("7") == 700\n\n\n'
        'def test_negative():\n    assert parse("-0.5") == -50\n\n\n'
        'def test_spelled():\n    assert spelled(1205) == "12.05"\n\n\n'
        'def test_spelled_negative():\n    assert spelled(-50) == "-0.50"\n'
    ),
    "tests/test_account.py": (
        "from ledger.account import balance, by_day, overdrawn\n\n"
        'ENTRIES = [(2, "5.00"), (1, "1.50"), (2, "-7.25"), (3, "10")]\n\n\n'
        'def test_balance():\n    assert balance(ENTRIES) == "9.25"\n\n\n'
        "def test_by_day():\n    assert list(by_day(ENTRIES).items()) == [(1, 150), (2, -225), (3, 1000)]\n\n\n"
        'def test_overdrawn():\n    assert overdrawn(ENTRIES) == 2\n    assert overdrawn([(1, "0")]) is None\n'
    ),
}
TEXTS = {
    "texts/words.py": (
        "import re\n\n\n"
        'def words(text):\n    return re.findall(r"[a-z\']+", text.lower())\n\n\n'
        "def counts(text):\n    found = {}\n    for word in words(text):\n"
        "        found[word] = found.get(word, 0) + 1\n    return found\n"
    ),
    "texts/top.py": (
        "from texts.words import counts\n\n\n"
        "def top(text, most):\n"
        "    ranked = sorted(counts(text).items(), key=lambda pair: (-pair[1], pair[0]))\n"
        "    return [word for word, _ in ranked[:most]]\n"
    ),
    "texts/wrap.py": (
        'def wrap(text, width):\n    lines, line = [], ""\n    for word in text.split():\n'
        "        if line and len(line) + 1 + len(word) > width:\n"
        '            lines.append(line)\n            line = word\n        else:\n            line = f"{line} {word}".strip()\n'
        "    return [*lines, line] if line else lines\n"
    ),
}
TEXTS_TESTS = {
    "tests/test_top.py": (
        "from texts.top import top\n\n\n"
        'def test_top():\n    assert top("b a b c", 1) == ["b"]\n\n\n'
        'def test_ties_are_alphabetical():\n    assert top("b a c", 2) == ["a", "b"]\n\n\n'
        'def test_case():\n    assert top("The the cat", 1) == ["the"]\n'
    ),
    "tests/test_wrap.py": (
        "from texts.wrap import wrap\n\n\n"
        'def test_wrap():\n    assert wrap("aa bb cc", 5) == ["aa bb", "cc"]\n\n\n'
        'def test_nothing():\n    assert wrap("  ", 5) == []\n\n\n'
        'def test_long_word():\n    assert wrap("abcdefgh ij", 4) == ["abcdefgh", "ij"]\n'
    ),
}
REPOSITORIES: dict[str, tuple[dict[str, str], dict[str, str], list[tuple[str, str, str]]]] = {
    "shapes": (
        SHAPES,
        SHAPES_TESTS,
        [
            ("shapes/area.py", "    return pi * radius**2\n", "    return 2 * pi * radius\n"),
            ("shapes/area.py", "    if width < 0 or height < 0:\n", "    if width < 0 and height < 0:\n"),
            ("shapes/area.py", "    return rectangle(base, height) / 2\n", "    return rectangle(base, height)\n"),
            ("shapes/compare.py", "    return one if one[1] >= other[1] else other\n", "    return one if one[1] > other[1] else other\n"),
            ("shapes/compare.py", "    return (name, kinds[name](*sizes))\n", "    return (name, kinds[name](sizes))\n"),
        ],
    ),
    "ledger": (
        LEDGER,
        LEDGER_TESTS,
        [
            ("ledger/money.py", '    sign = -1 if text.startswith("-") else 1\n', "    sign = 1\n"),
            ("ledger/money.py", '    return sign * (int(whole or 0) * 100 + int((part + "00")[:2]))\n', "    return sign * (int(whole or 0) * 100 + int(part or 0))\n"),
            ("ledger/money.py", '    return f"{sign}{abs(cents) // 100}.{abs(cents) % 100:02d}"\n', '    return f"{sign}{abs(cents) // 100}.{abs(cents) % 100}"\n'),
            ("ledger/account.py", "    return dict(sorted(days.items()))\n", "    return days\n"),
            ("ledger/account.py", "        if total < 0:\n", "        if total <= 0:\n"),
        ],
    ),
    "texts": (
        TEXTS,
        TEXTS_TESTS,
        [
            ("texts/words.py", '    return re.findall(r"[a-z\']+", text.lower())\n', '    return re.findall(r"[a-z\']+", text)\n'),
            ("texts/top.py", "    ranked = sorted(counts(text).items(), key=lambda pair: (-pair[1], pair[0]))\n", "    ranked = sorted(counts(text).items(), key=lambda pair: pair[1], reverse=True)\n"),
            ("texts/top.py", "    return [word for word, _ in ranked[:most]]\n", "    return [word for word, _ in ranked[: most + 1]]\n"),
            ("texts/wrap.py", "        if line and len(line) + 1 + len(word) > width:\n", "        if len(line) + 1 + len(word) > width:\n"),
            ("texts/wrap.py", "    return [*lines, line] if line else lines\n", "    return lines\n"),
        ],
    ),
}  # fmt: skip


def failing_of(files: dict[str, str], tests: dict[str, str], judge: Judge) -> list[str]:
    """Names of the tests that fail."""
    found = []
    for path, text in tests.items():
        file = test_file(path, text, files, path)
        for name, test in file.tests.items():
            rungs = judge.verdict(name, program_of(files, file), lambda test=test: [test]).rungs
            if rungs.passed < rungs.total:
                found.append(name)
    return found


def problem(name: str, place: int, judge: Judge) -> dict[str, Any]:
    files, tests, bugs = REPOSITORIES[name]
    path, right, wrong = bugs[place]
    broken = {**files, path: files[path].replace(right, wrong)}
    failing = failing_of(broken, tests, judge)
    assert files[path].count(right) == broken[path].count(wrong) == 1, (name, place)
    assert failing, (name, place)
    assert not failing_of(files, tests, judge), name
    return {
        "id": f"{name}/{place}",
        "cluster": name,
        "prompt": "Something in this repository is wrong. Mend it without changing what works.",
        "files": broken,
        "tests": tests,
        "failing": failing,
        "answer": f"{path}\n<<<<<<< SEARCH\n{wrong}=======\n{right}>>>>>>> REPLACE\n",
    }


def main() -> None:
    judge = Judge(SandboxSettings(), programs_ladder())
    lines = [problem(name, place, judge) for name, (_, _, bugs) in REPOSITORIES.items() for place in range(len(bugs))]
    target = Path(__file__).with_name("repairs.jsonl")
    target.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    print(f"{target}: {len(lines)} problems")


if __name__ == "__main__":
    main()
