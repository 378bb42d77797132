"""What a plan must know of a recipe beside its settings: lengths, numbers of problems and samples, students' shapes.

Looked up in the tasks, the corpus and the generators themselves; nothing is fetched and nothing runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from itertools import islice

from r1kit.contracts import Recipe
from r1kit.data.layouts import read_examples
from r1kit.data.settings import Reading
from r1kit.data.source import is_path
from r1kit.evals.settings import EvaluationConfig
from r1kit.factory.collection import Collection
from r1kit.factory.general import General, general_samples
from r1kit.factory.preferences import labels_of, pairs_of
from r1kit.factory.sources import samples_from
from r1kit.loops.settings import SFT
from r1kit.plan.cost import Many
from r1kit.plan.known import shape_of_named
from r1kit.plan.shape import Shape, shape_of_fresh
from r1kit.stages.cold_start import Config as ColdStart
from r1kit.stages.distill import Config as Distill
from r1kit.stages.evaluate import Config as Evaluate
from r1kit.stages.pretrain import Config as Pretrain
from r1kit.stages.rejection_sampling import Config as RejectionSampling
from r1kit.stages.reward_models import Config as RewardModels
from r1kit.tasks.corpora import build_corpus
from r1kit.tasks.task import Split
from r1kit.text.seen import summary
from r1kit.text.template import NAMED

__all__ = ["Known", "Sizes", "sizes_of"]

CHARACTERS_A_TOKEN = 3.5
"""Of English text under a large vocabulary."""
CHAT_TOKENS = 25
"""What a chat template adds."""
LOOKED_AT = 16
"""Prompts, documents and generated samples whose length is looked at."""
HUB_SAMPLE = 1000.0
"""Tokens of a sample that nobody has seen yet."""
LABELS_LOOKED_AT = 512
"""Enough to hold both classes where one is rare."""


NONE = Many(0.0, 0.0)


def _no_problems(evaluation: EvaluationConfig) -> int:
    return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Of one stage; a field that its kind does not need is left as it is."""

    prompt: float = 0.0
    """Tokens of a prompt, template applied."""
    document: float = 0.0
    """Tokens of a pretraining document."""
    problems: Callable[[EvaluationConfig], int] = _no_problems
    """Held-out problems of an evaluation, over its tasks."""
    template_problems: int = 0
    """Problems that are asked in every other template."""
    asked: tuple[Many, ...] = ()
    """A collection's prompts, by route."""
    judged: float = 0.0
    """Share of them whose task a model judges."""
    samples: Many = NONE
    """What SFT learns, at most; prompt and response."""
    examples: Mapping[str, Many] = field(default_factory=dict)
    """Reward model -> its pairs or labelled responses; tokens of one response with its prompt."""
    students: Mapping[str, Shape] = field(default_factory=dict)
    pretrain: Pretrain | None = None
    """How a fresh student is pretrained."""
    data_flops: float = 0.0
    """What sampling the students' data took."""


class Known:
    """A recipe's tasks, each built once, and how many problems its splits hold: some draw each problem to tell."""

    def __init__(self, recipe: Recipe) -> None:
        self.task = cache(recipe.task)
        self.problems = cache(self._problems)

    def _problems(self, task: str, split: Split, limit: int | None) -> int:
        return len(self.task(task).held_out(split, limit))


def sizes_of(recipe: Recipe, stage: str, shape: Shape, mean_share: float, known: Known | None = None) -> Sizes:
    """Of one stage; ``mean_share`` is the mean response's share of ``max_tokens``, ``known`` is shared by the stages of
    one plan."""
    config, looked = recipe.stages[stage], _Lookup(recipe, known or Known(recipe))
    asked = config.asked(recipe) if isinstance(config, Collection) else recipe.tasks_of(stage)
    sizes = Sizes(prompt=looked.prompt(asked), problems=partial(looked.problems, recipe.tasks_of(stage)))
    if recipe.base_stage:
        sizes = replace(sizes, document=looked.document(), pretrain=recipe.stages[recipe.base_stage])
    if isinstance(config, Collection):
        return replace(sizes, asked=looked.asked(config), judged=len(config.judged) / len(asked))
    if isinstance(config, SFT):
        return replace(sizes, samples=looked.learnt(config.data_sources, mean_share))
    if isinstance(config, RewardModels):
        return replace(sizes, examples=looked.examples(config))
    if isinstance(config, Evaluate):
        return replace(sizes, template_problems=looked.template_problems(config))
    if isinstance(config, Distill):
        learnt = looked.learnt(config.data_sources, mean_share)
        return replace(sizes, samples=learnt, students=_students(config, stage, shape))
    return sizes


def _students(config: Distill, stage: str, shape: Shape) -> dict[str, Shape]:
    found = {}
    for name, student in config.students.items():
        where = f"stages.{stage}.students.{name}.model"
        fresh = not student.model.name
        found[name] = (
            shape_of_fresh(student.model, shape.vocab) if fresh else shape_of_named(student.model, shape.vocab, where)
        )
    return found


class _Lookup:
    def __init__(self, recipe: Recipe, known: Known) -> None:
        self.recipe, self.known = recipe, known
        base = recipe.stages.get(recipe.base_stage)
        self._text = base if isinstance(base, Pretrain) and base.data else None
        """Where the base learns text: its tokens are not words, as those of any other fresh model are."""
        self._words = not recipe.model.name and self._text is None
        self._template = self._template_tokens()

    def prompt(self, names: tuple[str, ...]) -> float:
        tasks = [self.known.task(name) for name in names]
        prompts = [task.train(index).question for task in tasks for index in range(LOOKED_AT)]
        return _mean([self._tokens(prompt) for prompt in prompts]) + self._template

    def document(self) -> float:
        if self._text is not None:
            context = float(self._text.context or self.recipe.model.max_positions)
            if not is_path(self._text.data):
                return context
            some = islice(read_examples(self._text.data, "text", self._text.read), LOOKED_AT)
            return _mean([min(context, self._tokens(example.text) + 1) for example in some])
        corpus = build_corpus(self.recipe.stages[self.recipe.base_stage].corpus)
        return _mean([float(len(corpus.document(index).split()) + 2) for index in range(LOOKED_AT)])

    def problems(self, own: tuple[str, ...], evaluation: EvaluationConfig) -> int:
        """An evaluation that names no tasks judges its stage's own."""
        names = evaluation.tasks or own
        return sum(self.known.problems(name, evaluation.split, evaluation.limit) for name in names)

    def template_problems(self, config: Evaluate) -> int:
        asked = config.asked(self.recipe)
        return self.problems(asked, replace(config.evaluation, tasks=asked))

    # ---- what data stages ask and make ------------------------------------------------------------------------------

    def asked(self, config: Collection) -> tuple[Many, ...]:
        """By route; a worked example is as long as it may be."""
        prompt = self.prompt(config.asked(self.recipe))
        if not isinstance(config, ColdStart):
            return (Many(_prompts(config), prompt),)
        more = {
            "direct": self._tokens(config.direct.prefix + config.direct.suffix),
            "few_shot": config.few_shot.shots * (prompt + config.few_shot.longest),
        }
        return tuple(Many(count, prompt + more.get(route, 0.0)) for route, count in config.routes.items() if count)

    def learnt(self, sources: Sequence[tuple[str, Reading]], mean_share: float) -> Many:
        """Of stages as many samples as their settings allow, of files those that are there, of data sets of the hub,
        which are not fetched, those that a limit names."""
        return merged([self._learnt(source, reading, mean_share) for source, reading in sources])

    def _learnt(self, source: str, reading: Reading, mean_share: float) -> Many:
        if source in self.recipe.stages:
            return self.samples(source, mean_share)
        if not is_path(source):
            return Many(float(reading.limit), HUB_SAMPLE)
        found = samples_from(source, reading)
        return Many(float(len(found)), self._pairs([(sample.prompt, sample.response) for sample in found]))

    def samples(self, stage: str, mean_share: float) -> Many:
        """As many as a data stage's settings allow, and their mean tokens."""
        config = self.recipe.stages.get(stage)
        if not isinstance(config, Collection):
            return NONE
        reasoned = self.prompt(config.asked(self.recipe)) + mean_share * config.sampling.max_tokens
        many = [Many(_kept(config), reasoned), *self._general(config.general, reasoned)]
        whole = merged(many)
        size = config.size if isinstance(config, RejectionSampling) else 0
        return Many(min(whole.number, size or whole.number), whole.tokens)

    def _general(self, config: General, otherwise: float) -> list[Many]:
        """``otherwise``: tokens of a row that nobody has seen yet."""
        tasks = self.recipe.built(config.tasks)
        own = general_samples(General(tasks=config.tasks, count=LOOKED_AT), tasks, self.recipe.seed)
        lines = general_samples(General(path=config.path, limit=config.limit), {}, 0)
        found = [Many(float(len(config.tasks) * config.count), self._pairs([(s.prompt, s.response) for s in own]))]
        found.append(Many(float(len(lines)), self._pairs([(s.prompt, s.response) for s in lines])))
        return [*found, Many(float(config.limit), otherwise)] if config.dataset else found

    def examples(self, config: RewardModels) -> dict[str, Many]:
        """Pairs and labels before lengths are balanced; of a pair only the summaries are seen."""
        found, pairs, labels = {}, config.helpfulness, config.safety
        tasks = self.recipe.built((pairs.task, labels.task))
        if "helpfulness" in config.models:
            few = pairs_of(replace(pairs, count=LOOKED_AT, balance_lengths=False), tasks, self.recipe.seed)
            texts = [(pair.prompt.question, summary(text)) for pair in few for text in (pair.chosen, pair.rejected)]
            count = (len(few) if pairs.path else pairs.count) + pairs.own_samples
            found["helpfulness"] = Many(float(count), self._pairs(texts))
        if "safety" in config.models:
            some = labels_of(replace(labels, count=min(labels.count, LABELS_LOOKED_AT)), tasks, self.recipe.seed)
            texts = [(one.prompt.question, one.response) for one in some]
            found["safety"] = Many(float(len(some) if labels.path else labels.count), self._pairs(texts))
        return found

    # ---- tokens -----------------------------------------------------------------------------------------------------

    def _pairs(self, texts: list[tuple[str, str]]) -> float:
        """Mean tokens of prompt and response."""
        mean = _mean([self._tokens(prompt) + self._tokens(response) for prompt, response in texts])
        return mean + self._template if texts else 0.0

    def _template_tokens(self) -> float:
        template = self.recipe.model.template
        extra = self._tokens(f"{template.system} {template.suffix} {template.prefill}")
        if template.name == "chat" and not self._words:
            return extra + CHAT_TOKENS
        text = NAMED.get(template.name, template.name) or NAMED["plain"]  # what a fresh tokenizer's chat template is
        return extra + self._tokens(text.replace("{question}", "")) + 1

    def _tokens(self, text: str) -> float:
        return float(len(text.split())) if self._words else len(text.strip()) / CHARACTERS_A_TOKEN


def merged(many: Sequence[Many]) -> Many:
    """All of them, and the mean of their tokens."""
    count = sum(each.number for each in many)
    return Many(count, sum(each.number * each.tokens for each in many) / count if count else 0.0)


def _prompts(config: Collection) -> float:
    if isinstance(config, ColdStart):
        return float(sum(config.routes.values()))
    assert isinstance(config, RejectionSampling), f"not a data stage's config: {config!r}"
    return float(config.prompts)


def _kept(config: Collection) -> float:
    """Responses that ``keep`` and ``limit`` allow."""
    each = min(config.keep or config.sampling.n, config.sampling.n)
    count = _prompts(config) * each
    return min(count, config.limit or count)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0
