"""What an RL step learns from: prompts in turn, a group of completions for each, their scores (R1 paper, 2.1).

Completions are sampled and scored one step at a time, by the newest weights. Scoring goes on while sampling goes on:
a group is handed to the verifier's processes as soon as its last completion ends. A loop that samples ahead of the
learner takes the place of ``Rollouts`` by giving the same ``Drawn``; how old a completion is stands in its ``version``,
which the update reads.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from r1kit.errors import InputError
from r1kit.loops.curriculum import Drawing
from r1kit.loops.dealing import Drawn, Scored, exchange
from r1kit.loops.settings import RL
from r1kit.records import Prompt
from r1kit.rollout.sample import room_for_prompt, sample_groups
from r1kit.rollout.streams import stream_seed
from r1kit.tasks.task import Task
from r1kit.update.learner import shares
from r1kit.workspace import Workspace

if TYPE_CHECKING:
    from r1kit.loops.policy import Policy

__all__ = ["PromptStream", "Rollouts", "TasksAt"]

LEFT_OUT = 1000
"""Prompts of a task left out in a row after which it is taken to have no others."""
TasksAt = Callable[[int], Mapping[str, Task]]
"""Step -> the tasks that its prompts come from."""


@dataclass(frozen=True, slots=True)
class PromptStream:
    """Training prompts of several tasks in turn, by weight; where it stands survives a kill."""

    weights: Mapping[str, float]
    """1 for a task that is not named."""
    workspace: Workspace
    drawing: Drawing
    too_long: Callable[[Prompt], str] = lambda prompt: ""
    """Why a prompt cannot be asked; empty: it can. Raises InputError where that is to end the run."""

    def take(self, tasks: Mapping[str, Task], count: int) -> list[tuple[int, Prompt]]:
        """The next ``count`` prompts with their running number: always of the task that is furthest behind.

        A task that joins late is not behind: turns are counted anew for every set of tasks.
        """
        cursor, taken = self.workspace.cursor, []
        first, together = cursor.get("prompt", 0), "+".join(tasks)
        for number in range(first, first + count):
            name = min(tasks, key=lambda t: (cursor.get(f"{together}:{t}", 0) + 0.5) / self.weights.get(t, 1.0))
            taken.append((number, self._next(tasks[name], name)))
            cursor[f"{together}:{name}"] = cursor.get(f"{together}:{name}", 0) + 1
        cursor["prompt"] = first + count
        return taken

    def _next(self, task: Task, name: str) -> Prompt:
        """The task's next prompt that the curriculum does not pass over."""
        cursor, passed, left_out = self.workspace.cursor, 0, 0
        while True:
            index = cursor.get(f"prompt:{name}", 0)
            cursor[f"prompt:{name}"] = index + 1
            prompt = self.drawing.prompt(task, self.workspace.seed * 1_000_003 + index)
            if not self.drawing.takes(name, index, prompt, passed):
                passed += 1
            elif why := self.too_long(prompt):
                cursor["long_prompts"] = cursor.get("long_prompts", 0) + 1
                left_out += 1
                stage, say_once = self.workspace.stage, self.workspace.say_once
                if left_out == LEFT_OUT:
                    raise InputError(f"{stage}: {LEFT_OUT} prompts of {name} in a row are too long: {why}")
                say_once(f"long {name}", f"{stage}: prompts of {name} are left out, the first: {why}")
            else:
                return prompt


@dataclass(frozen=True, slots=True)
class Rollouts:
    """Rollouts of one policy, a step at a time."""

    config: RL
    policy: Policy
    tasks_at: TasksAt

    def next(self, step: int) -> Drawn:
        """A step's groups and their scores; every rank calls it, and all agree on which groups those are.

        With dynamic sampling, flat groups are replaced: they are sampled, counted and left out.
        """
        config, workspace = self.config, self.policy.workspace
        drawing = self._drawing()
        stream = PromptStream(config.task_weights, workspace, drawing, self._too_long)
        seconds = {"sample_seconds": 0.0, "score_seconds": 0.0}
        drawn, share = Drawn(), shares(self.policy.learner)
        for attempt in range(config.dynamic_sampling + 1):
            tasks = self.tasks_at(step)
            dealt = stream.take(tasks, config.prompts_per_step)
            mine = dealt[workspace.ranks.rank :: workspace.ranks.size]
            found = exchange(workspace.ranks, self._sample(mine, seconds), share, workspace.complaints)
            outcomes = zip(dealt, found, strict=True)
            drawing.learn([(prompt, one.right, one.seen) for (_, prompt), (one, _) in outcomes], tasks)
            for one, held in found:
                workspace.spend(sampled=one.tokens)
                wanted = drawn.count < config.prompts_per_step
                last = attempt == config.dynamic_sampling
                if wanted and (last or not one.flat):
                    drawn.take(one, held)
            if drawn.count == config.prompts_per_step:
                break
        long = workspace.cursor.get("long_prompts", 0)
        drawn.metrics = {**seconds, **drawing.metrics(), **({"long_prompts": long} if long else {})}
        return drawn

    def _too_long(self, prompt: Prompt) -> str:
        config, policy = self.config, self.policy
        room, length = room_for_prompt(policy.engine, config.sampling), len(policy.render(prompt))
        if room is None or length <= room:
            return ""
        why = (
            f"{prompt.id} has {length} tokens, and the model's positions leave {room} beside sampling.max_tokens = "
            f"{config.sampling.max_tokens}"
        )
        if config.long_prompts == "refuse":
            raise InputError(f'{policy.workspace.stage}: {why}; shorten it, or set long_prompts = "drop"')
        return why

    def _drawing(self) -> Drawing:
        workspace = self.policy.workspace
        return Drawing(self.config.curriculum, workspace.kept, workspace.seed, workspace.stage, workspace.say)

    def _sample(self, share: Sequence[tuple[int, Prompt]], seconds: dict[str, float]) -> list[Scored]:
        """This rank's groups, scored. ``seconds`` is added to: sampling, and what scoring took beyond it."""
        workspace, policy, began = self.policy.workspace, self.policy, time.monotonic()
        scoring = policy.scorer.begin()
        groups = sample_groups(
            policy.engine,
            [prompt for _, prompt in share],
            policy.render,
            self.config.sampling,
            [stream_seed(workspace.seed, workspace.stage, "rollout", number) for number, _ in share].__getitem__,
            scoring.add,
        )
        sampled = time.monotonic()
        scores = scoring.result()
        workspace.spend_read(policy.scorer.read())
        seconds["sample_seconds"] += sampled - began
        seconds["score_seconds"] += time.monotonic() - sampled
        return list(zip(groups, scores, strict=True))
