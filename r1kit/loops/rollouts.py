"""What an RL step learns from: prompts in turn, a group of completions for each, their scores (R1 paper, 2.1).

Completions are sampled and scored one step at a time, by the newest weights. Scoring goes on while sampling goes on:
a group is handed to the verifier's processes as soon as its last completion ends. A loop that samples ahead of the
learner takes the place of ``Rollouts`` by giving the same ``Drawn``; how old a completion is stands in its ``version``,
which the update reads.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from r1kit.errors import InputError
from r1kit.loops.curriculum import Drawing
from r1kit.loops.dealing import Drawn, Scored, exchange
from r1kit.loops.settings import RL
from r1kit.records import Prompt
from r1kit.resume import Resumable
from r1kit.rollout.sample import room_for_prompt, sample_groups
from r1kit.rollout.streams import stream_seed
from r1kit.seeds import training_index
from r1kit.tasks.task import Task
from r1kit.update.learner import shares
from r1kit.workspace import Workspace

if TYPE_CHECKING:
    from r1kit.loops.policy import Policy

__all__ = ["Numbered", "PromptStream", "Rollouts", "TasksAt"]

LEFT_OUT = 1000
"""Prompts of a task left out in a row after which it is taken to have no others."""
Numbered = tuple[int, Prompt]
"""A prompt with its running number in the stage."""
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

    dealt: list[Numbered] = field(default_factory=list)
    """All that were taken from it."""

    def take(self, tasks: Mapping[str, Task], count: int) -> list[Numbered]:
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
        self.dealt.extend(taken)
        return taken

    def _next(self, task: Task, name: str) -> Prompt:
        """The task's next prompt that the curriculum does not pass over."""
        cursor, passed, left_out = self.workspace.cursor, 0, 0
        while True:
            index = cursor.get(f"prompt:{name}", 0)
            cursor[f"prompt:{name}"] = index + 1
            prompt = self.drawing.prompt(task, training_index(self.workspace.seed, index))
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
        config, workspace, drawing = self.config, self.policy.workspace, self._drawing()
        stream = PromptStream(config.task_weights, workspace, drawing, self._too_long)
        drawn, share = Drawn(), shares(self.policy.learner)
        fate: dict[str, list[int]] = {"learnt": [], "flat": [], "spare": []}
        for attempt in range(config.dynamic_sampling + 1):
            dealt, mine = self._round(step, attempt, config.prompts_per_step - drawn.count, stream, drawn)
            found = exchange(workspace.ranks, mine, share, workspace.complaints)
            outcomes = list(zip(dealt, found, strict=True))
            tasks = {**self.tasks_at(step), **{prompt.task: self.policy.tasks[prompt.task] for _, prompt in dealt}}
            drawing.learn([(prompt, one.right, one.seen) for (_, prompt), (one, _) in outcomes], tasks)
            last = attempt == config.dynamic_sampling
            if last and attempt:  # flat ones fill up what the others leave
                outcomes.sort(key=lambda outcome: outcome[1][0].flat)
            for (number, _), (one, held) in outcomes:
                workspace.spend(sampled=one.tokens)
                if drawn.count < config.prompts_per_step and (last or not one.flat):
                    drawn.take(one, held)
                    fate["learnt"].append(number)
                else:
                    fate["flat" if one.flat else "spare"].append(number)
            if drawn.count == config.prompts_per_step:
                break
        self._after(step, stream, drawn, fate)
        long = workspace.cursor.get("long_prompts", 0)
        drawn.metrics |= {**drawing.metrics(), **({"long_prompts": long} if long else {})}
        if config.shorter:
            drawn.metrics["max_tokens"] = config.sampling_at(step).max_tokens
        dealt_now = [[number, prompt.id] for number, prompt in stream.dealt]
        workspace.append("prompts", [{"step": step + 1, "dealt": dealt_now, **{k: v for k, v in fate.items() if v}}])
        return drawn

    # ---- what sampling ahead does otherwise ------------------------------------------------------------------------

    def settle(self) -> None:
        """Before weights are handed over."""

    def beside(self, learner: Resumable) -> Resumable:
        """What must survive a kill: the learner, and what a sampler keeps."""
        return learner

    def stop(self, step: int) -> None:
        """No step comes after this one."""

    def _round(
        self, step: int, attempt: int, missing: int, stream: PromptStream, drawn: Drawn
    ) -> tuple[list[Numbered], list[Scored]]:
        """The next prompts that a step takes, the same on all ranks, and this rank's groups of them.

        Args:
            attempt: to fill the step, from 0.
            missing: groups that the step still lacks.
            stream: deals prompts.
            drawn: is told the seconds that it took.
        """
        ranks = self.policy.workspace.ranks
        dealt = stream.take(self.tasks_at(step), self.config.prompts_per_step)
        return dealt, self._sample(step, dealt[ranks.rank :: ranks.size], drawn)

    def _after(self, step: int, stream: PromptStream, drawn: Drawn, fate: dict[str, list[int]]) -> None:
        """Once a step has its groups."""

    # ---- a step's prompts -------------------------------------------------------------------------------------------

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

    def _sample(self, step: int, share: Sequence[Numbered], drawn: Drawn) -> list[Scored]:
        """This rank's groups, scored."""
        workspace, policy, began = self.policy.workspace, self.policy, time.monotonic()
        scoring = policy.scorer.begin()
        groups = sample_groups(
            policy.engine,
            [prompt for _, prompt in share],
            policy.render,
            self.config.sampling_at(step),
            [stream_seed(workspace.seed, workspace.stage, "rollout", number) for number, _ in share].__getitem__,
            scoring.add,
        )
        sampled = time.monotonic()
        scores = scoring.result()
        workspace.spend_read(policy.scorer.read())
        drawn.took(sampling=sampled - began, scoring=time.monotonic() - sampled)
        return list(zip(groups, scores, strict=True))
