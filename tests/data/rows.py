"""A written row of each layout that is recognised by its name, and how a row is read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from r1kit.data.example import Example
from r1kit.data.layouts import Examples, read_examples
from r1kit.data.settings import Reading

USER = {"role": "user", "content": "How many legs have 3 ants?"}

ASSISTANT = {"role": "assistant", "content": "Six each: 18."}

SYSTEM = {"role": "system", "content": "Be brief."}

ROWS: dict[str, dict[str, Any]] = {
    "GSM8K": {"question": "A hen lays 2 eggs a day. A week?", "answer": "2*7=<<2*7=14>>14\n#### 14"},
    "MATH": {"problem": "Half of 1?", "level": "Level 1", "type": "x", "solution": "It is $\\boxed{\\frac{1}{2}}$."},
    "NuminaMath": {"source": "x", "problem": "2 + 3?", "solution": "We get \\boxed{5}.", "messages": [USER, ASSISTANT]},
    "OpenR1-Math": {
        "problem": "2 + 3?", "solution": "By counting.", "answer": "5", "generations": ["x" * 3000], "uuid": "u1",
        "messages": [USER, ASSISTANT],
    },
    "DeepScaleR": {"problem": "2 + 3?", "answer": "5", "solution": "By counting."},
    "Big-Math": {"problem": "2 + 3?", "answer": "5", "source": "x", "domain": ["y"], "llama8b_solve_rate": 0.5},
    "DAPO-Math, verl": {
        "data_source": "x", "prompt": [USER], "ability": "MATH", "extra_info": {"index": "7"},
        "reward_model": {"ground_truth": "18", "style": "rule"},
    },
    "Countdown-Tasks": {"nums": [44, 19, 35], "target": 98},
    "MMLU": {"question": "Which is a bird?", "subject": "x", "choices": ["cow", "hen", "pig", "eel"], "answer": 1},
    "GPQA": {
        "Question": "Which is a bird?", "Correct Answer": "hen", "Incorrect Answer 1": "cow",
        "Incorrect Answer 2": "pig", "Incorrect Answer 3": "eel", "Subdomain": "x",
    },
    "messages": {"messages": [SYSTEM, USER, ASSISTANT]},
    "ShareGPT": {"conversations": [{"from": "human", "value": "Hello?"}, {"from": "gpt", "value": "Yes?"}]},
    "Alpaca": {"instruction": "Add.", "input": "2 and 3", "output": "5"},
    "text": {"text": "Ants have six legs."},
}  # fmt: skip


def read(path: Path, row: dict[str, Any], wanted: Any = None, **reading: Any) -> tuple[Examples, Example]:
    file = path / "rows.jsonl"
    file.write_text(json.dumps(row) + "\n")
    examples = read_examples(str(file), wanted, Reading(**reading))
    return examples, next(iter(examples))
