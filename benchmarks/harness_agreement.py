"""avg@1 here and in lm-evaluation-harness: the same checkpoint, the same prompts, greedy, response by response.

    python benchmarks/harness_agreement.py MODEL --task TASK --harness VENV/bin/lm_eval --out OUT

MODEL and TASK are what `r1 eval` takes. `r1 eval` runs first and writes the harness's format; its prompts are the
harness's prompts (``arg_0``), and the harness's responses are then compared with ours and judged by the same rule.
The harness is run as its own program, in an environment of its own (`pip install lm-eval`).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

TASK = """task: agreement
dataset_path: json
dataset_kwargs: {{data_files: {{test: {rows}}}}}
test_split: test
output_type: generate_until
doc_to_text: prompt
doc_to_target: answer
generation_kwargs: {{until: [], max_gen_toks: {tokens}, do_sample: false}}
metric_list:
  - metric: exact_match
    aggregation: mean
    higher_is_better: true
"""


def samples(out: Path) -> list[dict[str, Any]]:
    newest = max(out.glob("*/samples_*.jsonl"), key=lambda path: path.stat().st_mtime)
    return [json.loads(line) for line in newest.read_text(encoding="utf-8").splitlines()]


def judged(given: argparse.Namespace, responses: list[str]) -> list[float]:
    """Each response by the rule and the answer style that `r1 eval` judged ours by."""
    from r1kit.commands.arguments import named_task, open_subject
    from r1kit.records import Completion, Group
    from r1kit.reward.verifier import Verifier

    subject = open_subject(given.model, answer_style=given.answer_style)
    name, spec = named_task(given.task, subject.recipe)
    prompts = named_task(given.task, subject.recipe).build().held_out("test", given.limit)
    groups = [
        Group(
            prompt=prompt,
            prompt_ids=(),
            completions=(Completion(token_ids=(0,), logprobs=(), text=text, finish="stop"),),
        )
        for prompt, text in zip(prompts, responses, strict=True)
    ]
    with Verifier({name: spec}, {name: subject.reward}) as verifier:
        return [row[0].parts.get("accuracy", 0.0) for row in verifier.score_groups(groups)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--task", required=True)
    parser.add_argument("--harness", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--answer-style", default="tag")
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--limit", type=int, default=64)
    given = parser.parse_args()
    from r1kit.checkpoint.source import resolve_model

    greedy = [
        "--dtype",
        "float32",
        "--k",
        "1",
        "--temperature",
        "0",
        "--top-p",
        "1",
        "--max-tokens",
        str(given.max_tokens),
    ]
    asked = ["--task", given.task, "--limit", str(given.limit), "--answer-style", given.answer_style]
    here = [sys.executable, "-m", "r1kit", "eval", given.model, *asked, *greedy, "--out", str(given.out / "ours")]
    subprocess.run(here, check=True)
    ours = samples(given.out / "ours")
    rows = given.out / "rows.jsonl"
    prompts = [{"prompt": row["arguments"]["gen_args_0"]["arg_0"], "answer": row["target"]} for row in ours]
    rows.write_text("".join(json.dumps(row) + "\n" for row in prompts), encoding="utf-8")
    (given.out / "tasks").mkdir(exist_ok=True)
    text = TASK.format(rows=rows.resolve(), tokens=given.max_tokens)
    (given.out / "tasks" / "agreement.yaml").write_text(text, encoding="utf-8")
    arguments = f"pretrained={resolve_model(given.model).resolve()},dtype=float32,add_bos_token=False"
    there = [given.harness, "run", "--model", "hf", "--model_args", arguments, "--tasks", "agreement"]
    there += ["--include_path", str(given.out / "tasks"), "--output_path", str(given.out / "theirs"), "--log_samples"]
    subprocess.run(
        [*there, "--device", "cpu", "--batch_size", "1"], check=True, env={**os.environ, "HF_HUB_OFFLINE": "1"}
    )
    theirs = sorted(samples(given.out / "theirs"), key=lambda row: row["doc_id"])
    texts = [(one["resps"][0][0], two["resps"][0][0]) for one, two in zip(ours, theirs, strict=True)]
    same = sum(one.strip() == two.strip() for one, two in texts)
    right = judged(given, [two for _, two in texts])
    print(f"{len(texts)} problems, greedy: {same} responses are the same to the letter")
    mean = sum(row["exact_match"] for row in ours) / len(ours)
    print(f"avg@1 here {mean:.4f}, in the harness {sum(right) / len(right):.4f}")
    for place, (one, two) in enumerate(texts):
        if one.strip() != two.strip():
            print(f"  {place}: {one!r}\n     {two!r}")


if __name__ == "__main__":
    main()
