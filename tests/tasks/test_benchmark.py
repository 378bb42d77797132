"""Benchmarks: told from their rows, asked in the paper's words, judged on the whole response."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from r1kit.commands.arguments import named_task
from r1kit.contracts import Recipe
from r1kit.errors import InputError
from r1kit.tasks import build
from r1kit.tasks.benchmark.forms import letter_of
from r1kit.tasks.benchmark.task import Benchmark

ROWS = Path(__file__).parent / "benchmarks"
NAMES = ("aime", "math500", "gpqa", "mmlu_pro", "humaneval", "livecodebench")


def benchmark(name: str, **settings: object) -> Benchmark:
    task = build(name, "benchmark", {"path": str(ROWS / f"{name}.jsonl"), **settings})
    assert isinstance(task, Benchmark)
    return task


@pytest.mark.parametrize(("name", "k"), [*zip(NAMES, (64, 16, 64, 4, 8, 8), strict=True)])
def test_the_layout_tells_which_it_is_and_how_it_is_sampled(name: str, k: int) -> None:
    task = benchmark(name)
    assert task.form.name == name
    drawn = task.sampling
    assert (drawn.n, drawn.temperature, drawn.top_p, drawn.max_tokens) == (k, 0.6, 0.95, 32768)
    assert len(task.held_out("test")) == 2
    with pytest.raises(InputError, match="never trained on"):
        task.train(0)
    with pytest.raises(InputError, match="no dev split"):
        task.held_out("dev")


def test_a_name_on_the_command_line() -> None:
    none = Recipe(name="none")
    found = named_task(f"benchmark/{ROWS}/aime.jsonl", none)
    assert found == ("aime", ("benchmark", {"path": f"{ROWS}/aime.jsonl"}))
    assert named_task("benchmark/org/set:main:test", none) == (
        "set",
        ("benchmark", {"path": "org/set", "subset": "main", "split": "test"}),
    )
    named = named_task("benchmark/gpqa/org/set", none)
    assert (named.spec.kind, named.spec.table["path"]) == ("benchmark/gpqa", "org/set")


def test_mathematics_is_asked_for_a_box_and_judged_by_it() -> None:
    task = benchmark("math500")
    prompt = task.held_out("test")[0]
    assert prompt.question == (
        "Simplify $\\frac{6}{8}$.\nPlease reason step by step, and put your final answer within \\boxed{}."
    )
    assert task.grade(prompt, "<think>\n\\boxed{1}\n</think>\n\nSo it is \\boxed{0.75}.").correct == 1
    assert task.grade(prompt, "\\boxed{3/4} or rather \\boxed{4/3}").correct == 0, "the last box counts"
    assert task.grade(prompt, "<think>\\boxed{3/4}").correct == 0, "what is only thought is no answer"
    assert task.grade(prompt, "3/4").correct == 0, "no box"


def test_choices_are_asked_for_a_letter_on_the_last_line() -> None:
    task = benchmark("mmlu_pro")
    prompt = task.held_out("test")[1]
    assert prompt.question == (
        "Answer the following multiple choice question. The last line of your response should be of the following "
        "format: 'ANSWER: $LETTER' (without quotes) where LETTER is one of ABC. Think step by step before answering."
        "\n\nWho pays a tariff first?\n\nA) the importer\nB) the exporter\nC) the consumer"
    )
    assert task.grade(prompt, "B) is wrong.\nANSWER: A").correct == 1
    assert task.grade(prompt, "ANSWER: A? No.\nANSWER: B").correct == 0
    assert task.grade(prompt, "<think>ANSWER: B</think>The answer is (A).").correct == 1


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("**ANSWER: C**", "C"), ("Answer: $D$", "D"), ("ANSWER: \\boxed{B}", "B"), ("the answer is (J)", "J"),
        ("answer: b", "B"), ("The answer is a matter of taste.", ""), ("so \\boxed{A}", "A"), ("ANSWER: Cats", ""),
        ("I say C", ""), ("ANSWER: \\text{B}", "B"), ("ANSWER: [B]", "B"), ("ANSWER: 'B'", "B"),
        ("ANSWER: \\(B\\)", "B"),
        ("The answer is option B", "B"), ("ANSWER： B", "B"), ("ANSWER: Ｂ", "B"), ("Answer: I think it is B", "B"),
        ("Answer: I", "I"), ("Answer: A because B is less", "A"), ("ANSWER: A. B is less", "A"),
        ("ANSWER: B\n\nI see.", "B"), ("ANSWER: A" + " " * 50_000, "A"), ("ANSWER: A" + ")" * 50_000, "A"),
        ("ANSWER: A (B is less)", "A"), ("Answer: option C.", "C"), ("The answer is \\(\\boxed{\\text{D}}\\).", "D"),
        ("ANSWER: \\boxed{\\textbf{B}}", "B"), ("ANSWER: A, as I think", "A"), ("the answer is not B", ""),
        ("Answer: I'm lost", ""),
        ("Answer: I would pick (C)", "C"), ("The answer is: D", "D"), ("The answer isB", ""),
        ("Answer: I do not think it is B", ""), ("ANSWER: optional", ""), ("Answer: a matter of taste", ""),
        ("ANSWER: A, B, C or D", ""), ("ANSWER: A or B", ""), ("ANSWER: (A) or (B)", ""), ("ANSWER: A/B", ""),
        ("ANSWER: A and B", ""), ("ANSWER: A B", ""), ("ANSWER: A. B. C. D.", ""), ("ANSWER: $A$, $B$", ""),
        ("The correct option is A.", "A"), ("So, the correct choice is (A).", "A"), ("The best choice is **C**", "C"),
        ("Therefore, option A is correct.", "A"), ("Option B is wrong. Choice (A) is the right one.", "A"),
        ("The correct choice is A because B is less", "A"), ("The right option is: \\text{D}\nThanks!", "D"),
        ("答案：A", "A"), ("答案是A", "A"), ("正确答案是 A。", "A"), ("答案：**B**", "B"), ("答案为 (D)", "D"),
        ("故选：C。", "C"), ("答案是A选项", "A"), ("So it is this:\n\nA", "A"), ("So:\n**A**\n", "A"),
        ("(B).", "B"), ("Option C", "C"),
        ("A\nB\nC\nD", ""), ("The correct option is A or B.", ""), ("答案是A、B", ""), ("答案不是A", ""),
        ("答案是 A 和 B", ""), ("Option A is not correct.", ""), ("If option A is correct, it is 7.", ""),
        ("Option A is correct?", ""),
        ("Option A is correct and option B is correct.", ""), ("It isn't true that option A is correct.", ""),
        ("Option A or option B is correct.", ""), ("The correct option is Apple", ""),
        ("The correct choice is I think", ""),
        ("ANSWER: B\nSome say that option A is correct.", "B"), ("\\boxed{B}, as option A is correct", "B"),
        ("ANSWER: A or B\nB", ""),
        ("ANSWER: A\nANSWER: A or B", ""), ("ANSWER: A or B\nANSWER: B", "B"), ("ANSWER: **A**, **B**", ""),
    ],
)  # fmt: skip
def test_which_letter_is_said(text: str, letter: str) -> None:
    assert letter_of(text) == letter


@pytest.mark.parametrize("piece", ["option ", "option (", "option A is ", "答案是", "(", " ", "A\n", "best choice is"])
def test_no_response_takes_long(piece: str) -> None:
    begun = time.process_time()
    letter_of(piece * (50_000 // len(piece)))
    assert time.process_time() - begun < 2.0


def test_a_seed_reorders_the_choices_of_gpqa_and_the_answer_with_them() -> None:
    """24 orders of four: of 40 seeds some differ, and each letter names the right choice."""
    found = set()
    for order in range(40):
        task = benchmark("gpqa", order=order)
        for prompt, right in zip(task.held_out("test"), ("light", "iron"), strict=True):
            place = "ABCD".index(prompt.answer or "")
            assert prompt.facts["choices"][place] == right
            assert f"{prompt.answer}) {right}" in prompt.question
            assert task.grade(prompt, f"ANSWER: {prompt.answer}").correct == 1
            found.add((right, place))
        assert task.held_out("test") == benchmark("gpqa", order=order).held_out("test")
    assert len(found) == 8, "each choice's place is drawn"


def test_programs_are_judged_by_running_them() -> None:
    task = benchmark("livecodebench")
    reads, method = task.held_out("test")
    right = "<think>```python\nprint(3)\n```</think>```python\na, b = map(int, input().split())\nprint(a + b)\n```"
    assert task.grade(reads, right).correct == 1
    assert task.grade(reads, "```python\nprint(3)\n```").correct == 0, "right on the public test alone"
    solved = "```python\nclass Solution:\n    def largest(self, nums):\n        return max(nums)\n```"
    assert task.grade(method, solved).correct == 1
    task = benchmark("humaneval")
    double = task.held_out("test")[0]
    assert task.grade(double, "```python\ndef double(x):\n    return x + x\n```").correct == 1
    assert task.grade(double, "```python\ndef double(x):\n    return x * x\n```").correct == 0


@pytest.mark.parametrize(
    ("row", "kind", "said"),
    [
        ({"text": "a"}, "benchmark", "laid out as no benchmark that is known: the row has text; known are HumanEval"),
        ({"problem": "a", "answer": "1000"}, "benchmark", "laid out as no benchmark"),
        ({"question": "a", "options": ["b", "c"], "answer": "A"}, "benchmark/gpqa", "laid out as MMLU-Pro; write"),
        ({"problem": "a", "answer": "x"}, "benchmark/aime", "it is of no benchmark"),
    ],
)  # fmt: skip
def test_another_layout_is_told_in_one_line(row: dict[str, object], kind: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps(row) + "\n")
    with pytest.raises(InputError, match=said) as told:
        build("t", kind, {"path": str(file)})
    assert "\n" not in str(told.value)
