"""Every stage of a recipe, by its own formula or that of its kind.

A stage of the user's own brings a formula as the method ``plan(planner)`` of its settings, which gives a ``Work``. What
it may ask is a ``Planner``: the work of sampling, of training, of one of our stages with settings of its choice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from r1kit.contracts import Model, Recipe
from r1kit.errors import InputError
from r1kit.plan.cost import Draw, Plan, Work, sample, train, width_of
from r1kit.plan.known import shape_of_hub, shape_of_named
from r1kit.plan.shape import Shape, shape_of_fresh
from r1kit.plan.sizes import Known, Sizes, sizes_of
from r1kit.plan.stage_cost import Piece, formula_of, pieces_of
from r1kit.tasks.corpora import build_corpus
from r1kit.update.settings import OptimiserSettings

__all__ = ["Planner", "plan_pieces", "plan_recipe", "shape_of"]

SPECIAL_WORDS = 8
"""Special tokens and tags that every fresh tokenizer starts with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planner:
    """What a stage's own formula may ask."""

    recipe: Recipe
    stage: str
    """Its name in the recipe."""
    shape: Shape
    """Of the recipe's model."""
    where: Plan
    """Devices, and what is assumed of them."""
    earlier: Mapping[str, Work | None] = field(default_factory=dict)
    """Work of the stages before it; None: not planned."""
    known: Known | None = None
    """What the stages of one plan have looked up."""

    @property
    def config(self) -> Any:
        """The stage's settings."""
        return self.recipe.stages[self.stage]

    def prompt_tokens(self) -> float:
        """Mean tokens of a prompt of the stage's tasks, template applied."""
        return self._sizes(self.recipe).prompt

    def sample(
        self, prompts: float, n: int, max_tokens: int, dtype: Literal["float32", "bfloat16"] = "float32",
        in_flight: int = 512,
    ) -> Work:  # fmt: skip
        """Drawing ``n`` completions for each of so many of the stage's prompts, once."""
        draw = Draw(
            prompts=prompts, n=n, prompt_tokens=self.prompt_tokens(), max_tokens=max_tokens, in_flight=in_flight
        )
        return sample(draw, self.shape, self.where, width_of(dtype))

    def train(
        self, tokens: float, length: float, dtype: Literal["float32", "bfloat16"] = "float32",
        optimiser: OptimiserSettings | None = None, at_once: float = 8192,
    ) -> Work:  # fmt: skip
        """Learning so many tokens in sequences of a length, ``at_once`` of them in one forward and backward."""
        optimiser = optimiser or OptimiserSettings()
        return train(tokens, length / 2, self.shape, self.where, width_of(dtype), optimiser, at_once)

    def of(self, kind: str, config: Any) -> Work:
        """What a stage of one of our kinds would cost in this one's place.

        Raises:
            InputError: there is no formula of that kind.
        """
        formula = formula_of(kind, config)
        if formula is None:
            raise InputError(f"stage {self.stage!r} plans a stage of kind {kind!r}, which has no formula")
        recipe = replace(self.recipe, stages={**self.recipe.stages, self.stage: config})
        return formula(config, self.shape, self._sizes(recipe), self.where)

    def _sizes(self, recipe: Recipe) -> Sizes:
        return sizes_of(recipe, self.stage, self.shape, self.where.mean_share, self.known)


def plan_recipe(recipe: Recipe, shape: Shape, where: Plan, known: Known | None = None) -> dict[str, Work | None]:
    """Every stage's work, in the order they run; None for a stage of the user's own that brings no formula."""
    works: dict[str, Work | None] = {}
    known = known or Known(recipe)
    for name, config in recipe.stages.items():
        planner = Planner(recipe=recipe, stage=name, shape=shape, where=where, earlier=dict(works), known=known)
        own = getattr(config, "plan", None)
        works[name] = _own(own, planner) if callable(own) else _of_kind(planner)
    return works


def _own(formula: Callable[[Planner], Any], planner: Planner) -> Work:
    work = formula(planner)  # what it raises is told with the user's line, see ``stages``
    if not isinstance(work, Work):
        raise InputError(
            f"stage {planner.stage!r}: its plan(planner) gave {work!r}; give a Work, for example "
            f"planner.train(tokens=1e6, length=512)"
        )
    return work


def plan_pieces(recipe: Recipe, shape: Shape, where: Plan) -> dict[str, list[Piece] | None]:
    """What every stage does in one go, as ``pieces_of``; a stage of the user's own is one piece."""
    found: dict[str, list[Piece] | None] = {}
    known = Known(recipe)
    for name, work in (works := plan_recipe(recipe, shape, where, known)).items():
        config = recipe.stages[name]
        if callable(getattr(config, "plan", None)):
            steps = getattr(config, "steps", None)
            found[name] = (
                [Piece(sort="learn", work=work, steps=steps if isinstance(steps, int) else None)] if work else None
            )
        else:
            sizes = _sizes_after(recipe, name, shape, where, works, known)
            found[name] = pieces_of(recipe.kinds[name], config, shape, sizes, where)
    return found


def _of_kind(planner: Planner) -> Work | None:
    recipe, name, shape, where = planner.recipe, planner.stage, planner.shape, planner.where
    config, formula = recipe.stages[name], formula_of(recipe.kinds[name], recipe.stages[name])
    return (
        formula(config, shape, _sizes_after(recipe, name, shape, where, planner.earlier, planner.known), where)
        if formula
        else None
    )


def _sizes_after(
    recipe: Recipe, name: str, shape: Shape, where: Plan, earlier: Mapping[str, Work | None], known: Known | None
) -> Sizes:
    """Of a stage, its data's cost among them."""
    data = earlier.get(getattr(recipe.stages[name], "data", ""))
    return replace(sizes_of(recipe, name, shape, where.mean_share, known), data_flops=data.flops if data else 0.0)


def shape_of(recipe: Recipe, config: Path | None = None, vocab: int = 0) -> Shape:
    """The model's shape: a config.json, the recipe's ``model.*`` keys, or the model's folder where it is here.

    Raises:
        InputError: none of them says it.
    """
    if config:
        return shape_of_hub(config)
    if recipe.model.name:
        return shape_of_named(recipe.model, vocab)
    if not recipe.base_stage:
        raise InputError(f"recipe {recipe.name!r} has no model to plan with; set model.name or add [stages.pretrain]")
    base = recipe.stages[recipe.base_stage]
    if not base.data:
        return shape_of_fresh(recipe.model, len(build_corpus(base.corpus).vocabulary()) + SPECIAL_WORDS)
    named = Model(name=base.tokenizer.name)
    tokens = vocab or (shape_of_named(named, 0).vocab if named.name else base.tokenizer.vocab_size)
    return shape_of_fresh(recipe.model, tokens)
