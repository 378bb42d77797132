"""Writes the chains of recipe ``nano-limits`` that think too much: ``python recipes/data/make_overthinking.py``.

Training problems of Countdown, worked without a slip until a hit, which is then computed again three to six times:
what over-thinking is (R1 paper v2, 6), put there on purpose so that a length reward can be seen to take it away.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from r1kit.nano.countdown.corpus import CountdownCorpus
from r1kit.nano.countdown.corpus_settings import CountdownCorpusConfig
from r1kit.nano.countdown.problems import CountdownConfig, draw_problem, question
from r1kit.nano.styles import STYLES
from r1kit.nano.words import spelled
from r1kit.seeds import stream

FILE = Path(__file__).resolve().parent / "nano_overthinking.jsonl"
COUNT = 200
FEWEST, MOST = 3, 6
LONGEST = 230
"""Words of a response."""

STEP = r"\d+ [-+*] \d+ = \d+"


def main() -> None:
    one = dict.fromkeys(STYLES, (1.0, 0.0, 0.0))
    none = dict.fromkeys(STYLES, 0.0)
    problems = CountdownConfig()
    corpus = CountdownCorpus(CountdownCorpusConfig(problems=problems, slips=none, languages=one, check_share=0.0))
    rows, index = [], 0
    while len(rows) < COUNT:
        rng = stream(0, "nano/overthinking", index)
        index += 1
        problem = draw_problem(rng, problems)
        response = corpus.response(rng, problem, "long", True)
        yes, check = spelled("yes", problem.language), spelled("check", problem.language)
        times = FEWEST + int(rng.random() * (MOST - FEWEST + 1))
        hit = re.search(rf"({STEP}) , (?:(?!{STEP} , ).)*?({STEP}) {yes} </think>", response)
        if hit is None:
            continue
        again = f" {check} {hit[1]} , {hit[2]} {yes}" * times
        response = response.replace(f"{yes} </think>", f"{yes}{again} </think>")
        if len(response.split()) <= LONGEST:
            rows.append({"prompt": question(problem), "response": response, "language": problem.language})
    FILE.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    main()
