"""Labels of steps by rollouts from each prefix (Math-Shepherd, 2312.08935, section 3.3): the policy's own solutions,
cut into steps, and how many of so many continuations of each prefix come to the right answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from r1kit.backends.backend import backend_of
from r1kit.backends.models import LoadedModel
from r1kit.backends.verifiers import open_verifier
from r1kit.errors import InputError
from r1kit.loops.dealing import in_turn
from r1kit.records import Completion, Group, Prompt, Sampling
from r1kit.resume import Stateless
from r1kit.reward.verifier import Verifying
from r1kit.rollout.engine import Bounded, Engine
from r1kit.rollout.sample import sample_groups
from r1kit.rollout.stopping import text_of
from r1kit.rollout.streams import stream_seed
from r1kit.search.steps import Cutter
from r1kit.seeds import training_index
from r1kit.workspace import Workspace

if TYPE_CHECKING:
    from r1kit.loops.prm_settings import PRM

__all__ = ["LOG", "Labeller", "label_steps", "open_labeller", "told"]

LOG = "labels"
"""``NN_STAGE/PART/labels.jsonl``: a solution a line."""
BUCKET = 64
"""Prefixes that may go on for about as many tokens are continued together: their room differs by less than this."""
Line = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Labeller:
    """What labelling works with."""

    engine: Engine
    verifier: Verifying
    tokenizer: Any
    """Decodes; see ``rollout.stopping.Tokenizer``."""
    cut: Cutter
    ends: frozenset[int]
    """Tokens that end a completion."""
    sampling: Sampling
    """Of a solution; a rollout may go on as long as the solution might have."""
    rollouts: int

    def label(self, groups: Sequence[Group], seed_of: Sequence[int]) -> tuple[list[Line], int]:
        """A line for each solution, and how many tokens the rollouts took.

        A prefix that several solutions of one prompt share is continued once.

        Args:
            groups: solutions, an empty one left out.
            seed_of: of each group, what its prefixes' seeds come from.
        """
        cut = {(g, i): self.cut.ends(one.token_ids) for g, group in enumerate(groups)
               for i, one in enumerate(group.completions)}  # fmt: skip
        prefixes = dict.fromkeys(
            (g, groups[g].completions[i].token_ids[:end]) for (g, i), ends in cut.items() for end in ends[:-1]
        )
        hits, tokens = self._outcomes(groups, list(prefixes), seed_of)
        scores = self.verifier.score_groups(groups)
        lines = []
        for (g, i), ends in cut.items():
            one = groups[g].completions[i]
            if ends:
                own = [hits[g, one.token_ids[:end]] for end in ends[:-1]]
                right = _right(scores[g][i].parts)
                lines.append(_line(groups[g], one, ends, own, right))
        return lines, tokens

    def _outcomes(
        self, groups: Sequence[Group], prefixes: Sequence[tuple[int, tuple[int, ...]]], seed_of: Sequence[int]
    ) -> tuple[dict[tuple[int, tuple[int, ...]], list[int]], int]:
        """Of each prefix, 1 or 0 for each rollout from it; tokens of all."""
        buckets: dict[int, list[tuple[int, tuple[int, ...]]]] = {}
        for prefix in prefixes:
            room = self.sampling.max_tokens - len(prefix[1])
            buckets.setdefault(-(-room // BUCKET) * BUCKET, []).append(prefix)
        found: dict[tuple[int, tuple[int, ...]], list[int]] = {}
        tokens = 0
        for room, share in sorted(buckets.items()):
            drawn = self._continued(groups, share, room, seed_of)
            tokens += sum(len(one.token_ids) - len(own) for (_, own), group in zip(share, drawn, strict=True)
                          for one in group.completions)  # fmt: skip
            scores = self.verifier.score_groups(drawn)
            for prefix, group, row in zip(share, drawn, scores, strict=True):
                found[prefix] = [
                    int(_right(score.parts) and len(one.token_ids) <= self.sampling.max_tokens)
                    for one, score in zip(group.completions, row, strict=True)
                ]
        return found, tokens

    def _continued(
        self, groups: Sequence[Group], share: Sequence[tuple[int, tuple[int, ...]]], room: int, seed_of: Sequence[int]
    ) -> list[Group]:
        """The prefixes with what the rollouts wrote behind them, as whole completions."""
        prompts = [(*groups[g].prompt_ids, *prefix) for g, prefix in share]
        if isinstance(self.engine, Bounded):
            room = min(room, self.engine.positions - max(map(len, prompts)))
        seeds = [stream_seed(seed_of[g], "prefix", *prefix) for g, prefix in share]
        sampling = replace(self.sampling, n=self.rollouts, max_tokens=room)
        return [
            replace(groups[g], completions=tuple(self._whole(prefix, one) for one in row))
            for (g, prefix), row in zip(share, self.engine.generate(prompts, sampling, seeds), strict=True)
        ]

    def _whole(self, prefix: tuple[int, ...], rollout: Completion) -> Completion:
        tokens = (*prefix, *rollout.token_ids)
        shown = tokens[:-1] if tokens[-1] in self.ends else tokens
        return replace(rollout, token_ids=tokens, text=text_of(self.tokenizer, shown))


def _right(parts: Mapping[str, float]) -> bool:
    """Whether a completion comes to the right answer."""
    return parts.get("accuracy", 0.0) >= 1.0


def _line(group: Group, one: Completion, ends: Sequence[int], hits: Sequence[Sequence[int]], right: bool) -> Line:
    return {
        "task": group.prompt.task,
        "cluster": group.prompt.cluster or group.prompt.question,
        "prompt_ids": list(group.prompt_ids),
        "token_ids": list(one.token_ids),
        "ends": list(ends),
        "hits": [list(row) for row in hits],
        "right": int(right),
    }


# ---- the part of the stage ------------------------------------------------------------------------------------------


@contextmanager
def open_labeller(config: PRM, workspace: Workspace, model: str) -> Iterator[tuple[Labeller, LoadedModel]]:
    """Of a model by the name of its folder."""
    backend, rl = backend_of(workspace.recipe, workspace.ranks), config.rl
    loaded = backend.load(model)
    workspace.parameters = loaded.parameters
    tokenizer: Any = loaded.tokenizer
    tasks = rl.tasks or tuple(workspace.recipe.tasks)
    with (
        open_verifier(
            tasks, workspace.recipe, rl.reward, rl.deadline, workers=rl.verifier_workers, ranks=workspace.ranks,
            opens=loaded.opens_think,
        ) as verifier,
        closing(backend.open_engine(loaded, dtype=rl.dtype, max_rows=rl.rows_in_flight)) as engine,
    ):  # fmt: skip
        labeller = Labeller(
            engine=engine,
            verifier=verifier,
            tokenizer=tokenizer,
            cut=Cutter(tokenizer, config.steps),
            ends=frozenset(loaded.stop_ids),
            sampling=config.solving,
            rollouts=config.labels.rollouts,
        )
        yield labeller, loaded


def label_steps(config: PRM, model: str, begin: int, workspace: Workspace) -> Line:
    """Solutions of ``labels.prompts`` training prompts of the tasks in turn, labelled; what they came to.

    Args:
        config: of the stage.
        model: folder of the policy.
        begin: number of the first prompt, so that a later round asks others.
        workspace: of the part.
    """
    recipe, ranks = workspace.recipe, workspace.ranks
    tasks = list(recipe.built(config.rl.tasks or tuple(recipe.tasks)).values())
    each = config.labels.prompts_per_step
    with open_labeller(config, workspace, model) as (labeller, loaded):
        for step in workspace.steps(-(-config.labels.prompts // each), Stateless()):
            numbers = range(begin + step * each, begin + min(config.labels.prompts, (step + 1) * each))
            mine = numbers[ranks.rank :: ranks.size]
            prompts = [_prompt(tasks, number, workspace.seed) for number in mine]
            seeds = [stream_seed(workspace.seed, workspace.stage, "labels", number) for number in mine]
            groups = sample_groups(labeller.engine, prompts, loaded.render, labeller.sampling, seeds.__getitem__)
            found = labeller.label(groups, seeds)
            sampled = sum(len(one.token_ids) for group in groups for one in group.completions)
            shares = ranks.gather_objects(([*_by_group(found[0], groups)], sampled, found[1]))
            lines = [line for own in in_turn([share[0] for share in shares]) for line in own]
            rolled = sum(share[2] for share in shares)
            solved = sum(share[1] for share in shares)
            workspace.spend(sampled=solved + rolled)
            workspace.append(LOG, lines)
            told_now = {"solutions": len(lines), "rollout_tokens": rolled, "solution_tokens": solved}
            workspace.log(step + 1, {**told_now, "accuracy": _mean([line["right"] for line in lines])})
    found_now = told(workspace)
    if found_now["solutions"] and not found_now["prefixes"] and not begin:
        raise InputError(
            f"stages.{workspace.stage}.steps: none of {found_now['solutions']} solutions has more than one step, so "
            f"there is nothing to label; name marks that the model writes (now {list(config.steps.marks)}), or in most "
            f"after how many tokens a step ends without one (now {config.steps.most})"
        )
    return found_now


def _prompt(tasks: Sequence[Any], number: int, seed: int) -> Prompt:
    prompt: Prompt = tasks[number % len(tasks)].train(training_index(seed, number // len(tasks)))
    return prompt


def _by_group(lines: Sequence[Line], groups: Sequence[Group]) -> list[list[Line]]:
    """A rank's lines, a list for each of its groups, so that the ranks' are told in the order of the prompts."""
    rest = iter(lines)
    return [[next(rest) for one in group.completions if one.token_ids] for group in groups]


def told(workspace: Workspace) -> Line:
    """What the labels of a part came to: their number, their price, and how sure they are.

    ``agreement``: share of prefixes whose hard label is the same by the first half of their rollouts and by the second;
    ``agreement_by_chance``: what two draws from all prefixes would give. ``moved_share``: share of steps after which
    the share of right rollouts differs by a quarter or more from that after the step before. ``hard_in_wrong``: share
    of the steps of wrong solutions, their last left out, that a hard label calls good.
    """
    lines, logged = workspace.read(LOG), workspace.read("metrics")
    prefixes = [hits for line in lines for hits in line["hits"]]
    moved, wrong = [], []
    for line in lines:
        shares = [*(_mean(hits) for hits in line["hits"]), float(line["right"])]
        moved += [abs(after - before) >= 0.25 for before, after in pairwise(shares)]
        wrong += [any(hits) for hits in line["hits"] if not line["right"]]
    solved = sum(row["solution_tokens"] for row in logged)
    rolled = sum(row["rollout_tokens"] for row in logged)
    return {
        "solutions": len(lines),
        "steps": _mean([len(line["ends"]) for line in lines]),
        "right": _mean([line["right"] for line in lines]),
        "prefixes": len(prefixes),
        "rollouts": sum(map(len, prefixes)),
        "solution_tokens": solved,
        "rollout_tokens": rolled,
        "tokens_ratio": rolled / max(1, solved),
        "hard_share": _mean([any(hits) for hits in prefixes]),
        "soft_mean": _mean([_mean(hits) for hits in prefixes]),
        **_agreement(prefixes),
        "moved_share": _mean(moved),
        "hard_in_wrong": _mean(wrong),
    }


def _agreement(prefixes: Sequence[Sequence[int]]) -> Line:
    halves = [(any(hits[: len(hits) // 2]), any(hits[len(hits) // 2 :])) for hits in prefixes if len(hits) > 1]
    if not halves:
        return {}
    first, second = (_mean([half[place] for half in halves]) for place in (0, 1))
    return {
        "agreement": _mean([one == other for one, other in halves]),
        "agreement_by_chance": first * second + (1 - first) * (1 - second),
    }


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
