"""Right called wrong and wrong paid, on the judged pairs of ``tests/answers``: r1kit, math-verify alone, TRL's reward.

    OMP_NUM_THREADS=1 python benchmarks/answers.py [--show]

``math-verify`` is called as its README does, ``verify(parse(reference), parse(answer))``, and once more with both sides
in dollar signs, which is how it wants LaTeX; ``accuracy_reward`` is TRL's own function, the answer in a box and the
reference in dollar signs. Their time limits need signals and a main thread; they are left as they are. Seconds are of
the processor, a pair at a time, caches cleared.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parent.parent / "tests" / "answers"
NOT_PAIRS = ("boxed completion", "boxed extraction", "last number", "form", "majority vote")
Judge = Callable[[str, str], bool]


def judges() -> dict[str, Judge]:
    from math_verify import parse, verify
    from trl.rewards import accuracy_reward

    from r1kit.answers import compare, formula, grade, reading, same, spelling

    caches = [grade.equal, spelling.respelled, formula.read_formula, reading._read, same._remembered, same._digits]
    assert compare

    def ours(reference: str, answer: str) -> bool:
        for cache in caches:
            cache.cache_clear()
        return grade.equal(reference, answer)

    def theirs(reference: str, answer: str) -> bool:
        return bool(verify(parse(reference), parse(answer)))

    def in_dollars(reference: str, answer: str) -> bool:
        return bool(verify(parse(f"${reference}$"), parse(f"${answer}$")))

    def of_trl(reference: str, answer: str) -> bool:
        completion = [[{"role": "assistant", "content": f"\\boxed{{{answer}}}"}]]
        return accuracy_reward(completion, [f"${reference}$"])[0] == 1.0

    return {
        "r1kit": ours,
        "math-verify": theirs,
        "math-verify, in dollars": in_dollars,
        "TRL accuracy_reward": of_trl,
    }


def measured(judge: Judge, pairs: Sequence[dict[str, Any]], show: bool) -> str:
    """A table's row: agreement, right called wrong, wrong paid, raised, median and slowest time."""
    missed = paid = raised = 0
    seconds = []
    for pair in pairs:
        start = time.process_time()
        try:
            said = judge(pair["reference"], pair["answer"])
        except Exception:
            said, raised = False, raised + 1
        seconds.append(time.process_time() - start)
        missed += pair["right"] and not said
        paid += said and not pair["right"]
        if show and said != pair["right"]:
            print("paid  " if said else "missed", pair["kind"], "|", pair["reference"], "|", pair["answer"])
    agreed = len(pairs) - missed - paid
    return (
        f"{agreed} of {len(pairs)} ({agreed / len(pairs):.1%}) | {missed} | {paid} | {raised} | "
        f"{statistics.median(seconds) * 1e3:.2f} ms | {max(seconds) * 1e3:.0f} ms |"
    )


def rows(name: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in (TESTS / name).read_text(encoding="utf-8").splitlines()]
    return [row for row in found if row["kind"] not in NOT_PAIRS]


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--show", action="store_true", help="name the pairs that are judged otherwise")
    show = arguments.parse_args().show
    logging.disable(logging.WARNING)
    for table in ("pairs.jsonl", "cases.jsonl"):
        print(f"\n{table}\n| judge | agrees | right called wrong | wrong paid | raised | median | slowest |")
        for name, judge in judges().items():
            judge("7", "8")
            print(f"| {name} | {measured(judge, rows(table), show)}", flush=True)


if __name__ == "__main__":
    main()
