"""Score groups of list_ops completions in one verifier process, with several values of ``sandbox.workers`` in turns.

    python benchmarks/sandbox_groups.py [--workers 1 2] [--groups 32] [--samples 16] [--loops 0] [--rounds 5]

Every completion of a group is a program of its own, half of them right, so none is found in the cache; ``--loops`` of
each group never end. Rounds have new prompts. Starting processes is not counted. Scores must be the same.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time

from r1kit.nano.list_ops.task import ListOps, ListOpsTaskConfig
from r1kit.records import Completion, Group
from r1kit.reward.settings import RewardConfig
from r1kit.reward.verifier import Verifier
from r1kit.sandbox import SandboxSettings
from r1kit.structure import plain
from r1kit.tasks import Spec

LOOP = "[ 0 for _ in iter ( int , 1 ) ]"


def config(workers: int) -> ListOpsTaskConfig:
    return ListOpsTaskConfig(sandbox=SandboxSettings(workers=workers))


def group(task: ListOps, index: int, samples: int, loops: int) -> Group:
    prompt = task.train(index)
    endless = [f"{LOOP} + [ {number} ]" for number in range(loops)]
    right = [f"( {prompt.answer} ) + [ 0 ] * {number} * 0" for number in range(0, samples - loops, 2)]
    wrong = [f"( {prompt.answer} ) + [ {number} ]" for number in range(1, samples - loops, 2)]
    completions = [
        Completion(
            token_ids=(1,), logprobs=(0.0,), text=f"<think> try </think> <answer> {one} </answer>", finish="stop"
        )
        for one in (*endless, *right, *wrong)
    ]
    return Group(prompt=prompt, prompt_ids=(1,), completions=tuple(completions))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--groups", type=int, default=32)
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--loops", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    task = ListOps("code", config(1))
    judges = {
        workers: Verifier({"code": Spec("code/list_ops", plain(config(workers)))}, {"code": RewardConfig()})
        for workers in given.workers
    }
    taken: dict[int, list[float]] = {workers: [] for workers in judges}
    for judge in judges.values():
        judge.score_groups([group(task, 1 << 20, 2, 0)])
    for number in range(given.rounds):
        groups = [group(task, number * given.groups + i, given.samples, given.loops) for i in range(given.groups)]
        found = []
        for workers, judge in sorted(judges.items(), reverse=number % 2 == 1):
            started = time.perf_counter()
            found.append(judge.score_groups(groups))
            taken[workers].append(time.perf_counter() - started)
        assert all(each == found[0] for each in found), "scores differ"
        right = sum(score.parts["accuracy"] for row in found[0] for score in row)
        assert right == given.groups * ((given.samples - given.loops + 1) // 2), "wrong scores"
    for judge in judges.values():
        judge.close()
    first = statistics.median(taken[given.workers[0]])
    print(f"load {os.getloadavg()[0]:.1f}, {given.groups} groups x {given.samples}, {given.loops} endless in each")
    for workers, seconds in taken.items():
        middle, each = statistics.median(seconds), ", ".join(f"{one:.2f}" for one in seconds)
        print(f"workers {workers}: median {middle:.2f} s, ratio {middle / first:.2f} ({each})")


if __name__ == "__main__":
    main()
