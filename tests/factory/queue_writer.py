"""A process that decides at random, for ``test_review_kill``: writes to stdout what it was told has been taken."""

from __future__ import annotations

import random
import sys
from pathlib import Path

from r1kit.errors import InputError
from r1kit.factory.review import Decision
from r1kit.factory.review_file import ReviewFile


def main() -> None:
    file, name = ReviewFile(Path(sys.argv[1])), sys.argv[2]
    draw, count = random.Random(name), 0
    while True:
        count += 1
        item = file.item(draw.choice("abcdefgh"))
        try:
            if draw.random() < 0.2:
                file.undo(name)
                continue
            status = draw.choice(["accepted", "edited", "rejected"])
            edited = f"<think> {name} {count} </think>" * 20 if status == "edited" else ""
            reason = f"{name} {count}"
            file.decide(item.id, Decision(status=status, by=name, edited=edited, reason=reason), item.state)
            print(reason, flush=True)
        except InputError:  # the other was faster, or nothing is left to undo
            continue


if __name__ == "__main__":
    main()
