"""One step of a data factory on one rank: sample, judge, filter, refine, judge and filter again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from r1kit.backends.verifiers import open_verifier
from r1kit.factory.asking import spoken
from r1kit.factory.collection import Collection
from r1kit.factory.filters import FilterConfig, failed_filter, filter_names
from r1kit.factory.judge import GenerativeJudge, Question
from r1kit.factory.refine import Edit, Refiner
from r1kit.factory.samplers import Sampler, generative_judge, open_samplers
from r1kit.factory.select import Candidate
from r1kit.records import Completion, Group, Prompt, Sample, Sampling
from r1kit.reward.extract import thinking
from r1kit.reward.format import FormatStyle, format_reward
from r1kit.reward.language import language_consistency
from r1kit.reward.settings import RewardConfig
from r1kit.reward.verifier import Verifying
from r1kit.rollout.sample import sample_groups
from r1kit.rollout.streams import stream_seed
from r1kit.workspace import Workspace

__all__ = ["Harvest", "Harvester", "Route", "open_harvester"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A way to come by completions."""

    name: str
    sampler: Sampler
    ask: Callable[[Prompt], str] = lambda prompt: prompt.question
    """What is asked in place of the question alone."""


@dataclass(slots=True, kw_only=True)
class Harvest:
    """What a step brought, of one rank or of all."""

    candidates: list[tuple[tuple[int, int], Candidate]] = field(default_factory=list)
    """With the prompt's number and the row of its completion."""
    left: dict[str, int] = field(default_factory=dict)
    """Check -> completions left after it, in the order of the checks; the first is ``sampled``."""
    counts: dict[str, float] = field(default_factory=dict)
    """Sums over the step's completions: tokens, what the judge did."""
    sampled: dict[int, float] = field(default_factory=dict)
    """Parameter count -> tokens that samplers of that size wrote."""
    judged: dict[int, float] = field(default_factory=dict)
    """Parameter count -> tokens that judges and refiners of that size wrote."""

    def add(self, other: Harvest) -> None:
        self.candidates += other.candidates
        _add(self.left, other.left)
        _add(self.counts, other.counts)
        _add(self.sampled, other.sampled)
        _add(self.judged, other.judged)


def _add(own: dict[Any, Any], others: Mapping[Any, float]) -> None:
    for name, value in others.items():
        own[name] = own.get(name, 0) + value


@dataclass(frozen=True, slots=True)
class _Draft:
    """A completion on its way."""

    place: tuple[int, int]
    prompt: Prompt
    completion: Completion
    response: str
    edits: tuple[Edit, ...] = ()


@dataclass(slots=True, kw_only=True)
class Harvester:
    stage: str
    seed: int
    """Of the run."""
    sampling: Sampling
    reward: RewardConfig
    filters: FilterConfig
    verifier: Verifying
    judge: GenerativeJudge | None = None
    judge_parameters: int = 0
    judged: tuple[str, ...] = ()
    """Tasks whose answers the generative judge checks in place of the rule."""
    refiner: Refiner | None = None
    refiner_parameters: int = 0
    form: FormatStyle = "none"
    """What a refined response must look like."""
    after: FilterConfig = field(default_factory=FilterConfig)
    """Filters of refined responses."""

    def harvest(self, route: Route, prompts: Sequence[tuple[int, Prompt]]) -> Harvest:
        """This rank's share of a step."""
        asked = [prompt for _, prompt in prompts]
        seeds = [stream_seed(self.seed, self.stage, route.name, number) for number, _ in prompts]
        groups = sample_groups(
            route.sampler.engine,
            asked,
            lambda prompt: route.sampler.render(prompt, route.ask(prompt)),
            self.sampling,
            seeds.__getitem__,
        )
        judged = self.reward.settled(route.sampler.opens)
        drafts = [
            _Draft((number, row), prompt, completion, judged.whole(completion.text))
            for (number, prompt), group in zip(prompts, groups, strict=True)
            for row, completion in enumerate(group.completions)
        ]
        before = self.judge.tally.as_counts() if self.judge else {}
        written = self._written()
        found = Harvest(left={"sampled": len(drafts)})
        found.counts["response_tokens"] = sum(len(draft.completion.token_ids) for draft in drafts)
        found.counts["language_consistency"] = sum(map(self._before, drafts))
        drafts = self._checked(drafts, found, "", self.reward.format_style, self.filters, route)
        if self.refiner is not None:
            drafts = self._refined(drafts, found)
            drafts = self._checked(drafts, found, "refined_", self.form, self.after, route)
        found.candidates = [(draft.place, self._candidate(draft, route)) for draft in drafts]
        if self.judge:
            found.counts |= {name: value - before[name] for name, value in self.judge.tally.as_counts().items()}
        found.sampled[route.sampler.parameters] = found.counts["response_tokens"]
        for parameters, now, then in zip(
            (self.judge_parameters, self.refiner_parameters), self._written(), written, strict=True
        ):
            _add(found.judged, {parameters: now - then} if now > then else {})
        return found

    def _written(self) -> tuple[int, int]:
        """Tokens of the judge and of the refiner, over their lives."""
        return self.judge.written if self.judge else 0, self.refiner.written if self.refiner else 0

    def _checked(
        self, drafts: list[_Draft], found: Harvest, prefix: str, form: FormatStyle, filters: FilterConfig, route: Route
    ) -> list[_Draft]:
        """Right, of the asked form, through every filter; what is left after each is counted."""
        drafts = [draft for draft, right in zip(drafts, self._right(drafts), strict=True) if right]
        found.left[f"{prefix}right"] = len(drafts)
        blank = self.reward.blank_thinking
        drafts = [d for d in drafts if format_reward(d.response, "stop", form, blank_thinking=blank)]
        found.left[f"{prefix}form"] = len(drafts)
        failed = [
            failed_filter(
                filters,
                draft.response,
                draft.prompt.language,
                route.sampler.count(draft.response),
                draft.prompt.question,
            )
            for draft in drafts
        ]
        left = len(drafts)
        for name in filter_names(filters):
            left -= failed.count(name)
            found.left[prefix + name] = left
        return [draft for draft, name in zip(drafts, failed, strict=True) if not name]

    def _right(self, drafts: Sequence[_Draft]) -> list[bool]:
        """By the task's rule, or by the generative judge for the tasks that have none; what was cut never is."""
        right = [False] * len(drafts)
        ended = [at for at, draft in enumerate(drafts) if draft.completion.finish == "stop"]
        by_judge = [at for at in ended if drafts[at].prompt.task in self.judged]
        by_rule = [at for at in ended if drafts[at].prompt.task not in self.judged]
        groups = [_group(drafts[at]) for at in by_rule]
        for at, scores in zip(by_rule, self.verifier.score_groups(groups), strict=True):
            right[at] = scores[0].parts["accuracy"] >= 1.0
        if self.judge and by_judge:
            questions = [_question(drafts[at]) for at in by_judge]
            seeds = [stream_seed(self.seed, self.stage, "judge", *drafts[at].place) for at in by_judge]
            for at, verdict in zip(by_judge, self.judge.verdicts(questions, seeds), strict=True):
                right[at] = verdict is not None and verdict.correct
        return right

    def _refined(self, drafts: list[_Draft], found: Harvest) -> list[_Draft]:
        assert self.refiner is not None
        seeds = [stream_seed(self.seed, self.stage, "refine", *draft.place) for draft in drafts]
        refined = self.refiner.refine([d.prompt for d in drafts], [d.response for d in drafts], seeds)
        kept = [
            replace(draft, response=new.response, edits=new.edits)
            for draft, new in zip(drafts, refined, strict=True)
            if new.response
        ]
        found.left["refined"] = len(kept)
        return kept

    def _candidate(self, draft: _Draft, route: Route) -> Candidate:
        prompt = draft.prompt
        provenance = {
            "route": route.name,
            "stage": route.sampler.name,
            "version": route.sampler.version,
            "kind": "",
            "completion": draft.completion.text if draft.response != draft.completion.text else "",
            "edits": [{"by": edit.by, "what": edit.what, "detail": edit.detail} for edit in draft.edits],
        }
        sample = Sample(
            id=f"{prompt.id}/{route.name}/{draft.place[0]}.{draft.place[1]}",
            prompt=prompt.question,
            response=draft.response,
            domain=prompt.task,
            language=prompt.language,
            provenance=provenance,
            history=prompt.history,
        )
        after = language_consistency(thinking(draft.response), prompt.language, self.reward.detector)
        return Candidate(
            sample=sample, tokens=route.sampler.count(draft.response), consistency=(self._before(draft), after)
        )

    def _before(self, draft: _Draft) -> float:
        """Language consistency of the completion as it was written."""
        return language_consistency(thinking(draft.completion.text), draft.prompt.language, self.reward.detector)


def _group(draft: _Draft) -> Group:
    return Group(
        prompt=draft.prompt, prompt_ids=(), completions=(replace(draft.completion, text=draft.response, finish="stop"),)
    )


def _question(draft: _Draft) -> Question:
    return Question(question=spoken(draft.prompt), reference=draft.prompt.reference, answer=draft.response)


@contextmanager
def open_harvester(
    config: Collection, workspace: Workspace, models: Sequence[str]
) -> Iterator[tuple[Harvester, Mapping[str, Sampler]]]:
    """What judges and sifts a stage's completions, and who writes them, by name; closed at the end.

    Args:
        models: stages or models that write or refine, "" for none; the judge comes by itself.
    """
    reward = replace(config.reward, prefilled=False)
    with (
        open_verifier(
            config.asked(workspace.recipe), workspace.recipe, reward, config.deadline,
            workers=config.verifier_workers, ranks=workspace.ranks,
        ) as verifier,
        open_samplers([*models, config.judge], workspace, config.dtype, config.rows_in_flight) as samplers,
    ):  # fmt: skip
        harvester = Harvester(
            stage=workspace.stage,
            seed=workspace.seed,
            sampling=config.sampling,
            reward=config.reward,
            filters=config.filters,
            verifier=verifier,
            judge=generative_judge(config, samplers),
            judge_parameters=samplers[config.judge].parameters if config.judge else 0,
            judged=config.judged,
        )
        yield harvester, samplers
