"""The experiment on process rewards, part by part (R1 paper, 4.2; Math-Shepherd, 2312.08935; DeepSeekMath, 4.1.3).

Solutions are labelled step by step, a process and an outcome reward model learn the labels, both choose among N
samples; then RL by process rewards, RL by rules at the same cost, and once more with a reward model that has seen what
the first one was cheated by. Each part has a folder, logs and a resume point of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from r1kit.backends.backend import backend_of
from r1kit.evals.evaluator import Evaluation, last_evaluation
from r1kit.evals.hacking import find_hacking
from r1kit.loops import rl
from r1kit.loops.best_of import best_of
from r1kit.loops.credit import StepsPaid
from r1kit.loops.policy import open_policy
from r1kit.loops.step_labels import label_steps
from r1kit.loops.step_training import Sees, judge, learnt, read_labels, split, with_replay
from r1kit.model.reward_model import Outlook, RewardModel
from r1kit.reward.stepwise import Stepwise
from r1kit.search.steps import Cutter

if TYPE_CHECKING:
    from pathlib import Path

    from r1kit.loops.prm_settings import PRM
    from r1kit.loops.rl import Watch
    from r1kit.workspace import Workspace

__all__ = ["Experiment"]

Numbers = dict[str, Any]


class Experiment:
    """One stage of kind ``prm``; ``run`` does what is not done yet."""

    def __init__(self, config: PRM, workspace: Workspace) -> None:
        self.config = replace(config, rl=replace(config.rl, start=config.start))
        self.workspace = workspace
        self.start, _ = workspace.start(config.start)

    def run(self) -> Numbers:
        """What every part came to."""
        part, start = self.workspace.part, self.start
        found: Numbers = {"labels": part("labels", lambda inner: label_steps(self.config, start, 0, inner))}
        for sees in ("process", "outcome"):
            found[sees] = part(sees, partial(self._model, sees))
        found["best_of"] = part("best_of", self._best_of)
        for number in range(self.config.rounds + 1):
            if number:
                found |= self._again(number)
            name = f"rl{_round(number)}"
            found[f"process_{name}"] = part(f"process_{name}", partial(self._process_rl, number))
        budgets = {"rl": _flops(found["process_rl"]), "with_model": _flops(found, "labels", "process", "process_rl")}
        found["rule_rl"] = part("rule_rl", partial(self._rule_rl, budgets))
        return {**found, "budgets": budgets}

    # ---- reward models ----------------------------------------------------------------------------------------------

    def _model(self, sees: Sees, inner: Workspace) -> Numbers:
        """Trained from the policy's body, judged on what is held out."""
        lines, held = self._sides("labels")
        outlook = Outlook(sees="response", template=self._backend.template)
        model = self._backend.create_reward_model(self.start, outlook, self.config.rl.dtype)
        learnt(self.config, sees, model, lines, inner)
        self._save(model, inner)
        return {"trained": len(lines), **judge(self.config, sees, model, held, inner)}

    def _again(self, number: int) -> Numbers:
        """A round: the policy's new solutions labelled, the process reward model trained on with them."""
        policy, asked = f"process_rl{_round(number - 1)}", self.config.labels.prompts
        label = partial(label_steps, self.config, str(self._folder(policy)), number * asked)
        labels, model = f"labels{_round(number)}", f"process{_round(number)}"
        found = {labels: self.workspace.part(labels, label)}
        return {**found, model: self.workspace.part(model, partial(self._retrained, number))}

    def _retrained(self, number: int, inner: Workspace) -> Numbers:
        """``before``: the model as it was, on the same held-out solutions."""
        config, (lines, held) = self.config, self._sides(f"labels{_round(number)}")
        old = [line for before in range(number) for line in self._sides(f"labels{_round(before)}")[0]]
        mixed = with_replay(lines, old, config.replay, inner.seed)
        model = self._open(f"process{_round(number - 1)}")
        before = judge(config, "process", model, held, inner)
        learnt(config, "process", model, mixed, inner)
        self._save(model, inner)
        found = judge(config, "process", model, held, inner)
        return {"trained": len(mixed), "replayed": len(mixed) - len(lines), "before": before, **found}

    def _best_of(self, inner: Workspace) -> Numbers:
        models = {"process": self._stepwise("process"), "outcome": self._stepwise("outcome", whole=True)}
        return best_of(self.config, self.start, models, inner)

    def _sides(self, part: str) -> tuple[list[Any], list[Any]]:
        return split(read_labels(self.workspace.folder / part), self.config.model.held_out_share)

    @property
    def _backend(self) -> Any:
        return backend_of(self.workspace.recipe, self.workspace.ranks)

    def _folder(self, part: str) -> Path:
        return self.workspace.folder / part / "checkpoint"

    def _open(self, part: str) -> RewardModel:
        model: RewardModel = self._backend.open_reward_model(self._folder(part), self.config.rl.dtype)
        return model

    def _save(self, model: RewardModel, inner: Workspace) -> None:
        if inner.is_writer:
            model.save(inner.folder / "checkpoint")
        inner.ranks.broadcast_object(None)

    def _stepwise(self, part: str, whole: bool = False) -> Stepwise:
        """``whole``: a completion is one step."""
        model, config = self._open(part), self.config
        tokenizer: Any = model.tokenizer
        cut = Cutter(tokenizer, replace(config.steps, marks=(), most=1 << 30) if whole else config.steps)
        tasks = frozenset(config.rl.uses(self.workspace.recipe))
        return Stepwise(model, cut, tasks, config.watched, config.model.micro_batch_tokens)

    # ---- RL ---------------------------------------------------------------------------------------------------------

    def _process_rl(self, number: int, inner: Workspace) -> Numbers:
        """RL that is paid by steps alone, until the watch stops it."""
        config, settings = self.config, self.config.rl
        if number and config.again_from == "policy":
            name = f"process_rl{_round(number - 1)}"
            inner.checkpoints = {**inner.checkpoints, name: str(self._folder(name).relative_to(inner.run))}
            settings = replace(settings, start=name)
        with open_policy(settings, inner, models=self._stepwise(f"process{_round(number)}"), weight=0.0) as policy:
            watch = _watch(config, inner)
            done = rl.train(settings, policy, watch=watch, credit=StepsPaid(settings, inner.ranks))
            result = policy.result()
            hacking = inner.kept.get("hacking")
        return {"steps": done, "checkpoint": result.checkpoint, "hacking": hacking, **_course(inner)}

    def _rule_rl(self, budgets: Mapping[str, int], inner: Workspace) -> Numbers:
        """RL by rules until the largest budget is spent; evaluated whenever one is."""
        settings = replace(self.config.rl, steps=self.config.rule_steps or 4 * self.config.rl.steps)
        with open_policy(settings, inner) as policy:

            def look(step: int, name: str) -> None:
                inner.cursor[f"reached_{name}"] = step
                split, limit = settings.final_split or None, settings.final_limit
                policy.evaluator.evaluate(step, split, limit, log="budgets", labels={"budget": name})

            def watch(step: int, found: Mapping[str, Evaluation]) -> str:
                spent = inner.cost["training_flops"]
                for name, budget in budgets.items():
                    if spent >= budget and f"reached_{name}" not in inner.cursor:
                        look(step, name)
                return "the budget is spent" if spent >= max(budgets.values()) else ""

            done = rl.train(settings, policy, watch=watch)
            for name in budgets:
                if f"reached_{name}" not in inner.cursor:  # steps ran out
                    look(done, name)
            result = policy.result()
        lines = inner.read("budgets")
        at = {name: {line["task"]: line for line in lines if line["budget"] == name} for name in budgets}
        reached = {name: inner.cursor[f"reached_{name}"] for name in budgets}
        return {"steps": done, "checkpoint": result.checkpoint, "reached": reached, "metrics": at, **_course(inner)}


def _round(number: int) -> str:
    """Behind the name of a part: nothing the first time, then ``_2``, ``_3`` ..."""
    return f"_{number + 1}" if number else ""


def _flops(found: Mapping[str, Any], *parts: str) -> int:
    """Operations that training took, of a part or of several."""
    return sum(int(one["cost"]["training_flops"]) for one in ([found[name] for name in parts] or [found]))


def _course(inner: Workspace) -> Numbers:
    """First and last evaluation of each task on the split that is looked at in between."""
    lines = inner.read("eval")
    found: Numbers = {"first": {}, "last": last_evaluation(inner)}
    for line in lines:
        if line["step"] == 0:
            found["first"][line["task"]] = line
    return found


def _watch(config: PRM, inner: Workspace) -> Watch:
    """Looks at every evaluation so far, as ``eval.jsonl`` has them."""

    def watch(step: int, found: Mapping[str, Evaluation]) -> str:
        if not found:
            return ""
        split = config.rl.evaluation.split
        lines = [line for line in (inner.read("eval") if inner.is_writer else []) if line["split"] == split]
        steps = sorted({line["step"] for line in lines})
        rewards, gold = ([_mean(lines, at, key) for at in steps] for key in ("model_reward", "avg_at_k"))
        hacking = find_hacking(steps, rewards, gold, config.watch)
        if hacking:
            inner.kept["hacking"] = {"step": hacking.step, "best_step": hacking.best_step, "reason": hacking.reason}
        return str(inner.ranks.broadcast_object(hacking.reason if hacking else ""))

    return watch


def _mean(lines: Sequence[Mapping[str, Any]], step: int, key: str) -> float:
    """Mean over the tasks' lines of a step."""
    values = [float(line[key]) for line in lines if line["step"] == step]
    return sum(values) / len(values)
