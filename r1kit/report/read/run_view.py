"""All that the page of a run shows, computed from its folder: no HTML, no colours. ``as_json`` hands it to a page."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from r1kit.report.read.claims import Claim, claims
from r1kit.report.read.consistency import Trend, trends
from r1kit.report.read.costs import Cost, costs
from r1kit.report.read.data_factory import MadeSamples, made_samples
from r1kit.report.read.distillation import Distilled, distilled
from r1kit.report.read.evaluations import compare
from r1kit.report.read.experiments import Probed, ProcessRewards, SearchRounds, probed, process_rewards, search_rounds
from r1kit.report.read.illnesses.doctor import illnesses
from r1kit.report.read.illnesses.illness import Illness
from r1kit.report.read.lineage import Node, lineage
from r1kit.report.read.plain_stage import PlainStage, plain_stages
from r1kit.report.read.replies import Pair, Reply, along, showcase, turned
from r1kit.report.read.reward_models import AgainstGold, RewardModel, against_gold, reward_models
from r1kit.report.read.rivals import Rivals, rivals
from r1kit.report.read.rl_stage import RLStage, rl_stage, words_of
from r1kit.report.read.run_folder import RunFolder
from r1kit.report.read.run_verdict import chain_verdict
from r1kit.report.read.series import Series, all_series, series
from r1kit.report.read.stage_folder import StageFolder
from r1kit.report.read.stage_table import StageTable, own_table, stage_tables
from r1kit.report.read.values import Row
from r1kit.stages import STAGES

__all__ = ["RunView", "TableView", "as_json", "read_run", "sentence"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TableView:
    """A stage table with what follows from it."""

    table: StageTable
    claims: Sequence[Claim]
    along: Sequence[Mapping[str, Reply]]
    """One prompt a task: checkpoint -> its first sample, from base over R1-Zero to R1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunView:
    path: str
    recipe: str
    recipe_text: str
    """The resolved recipe as it stands on disk."""
    title: str
    verdict: str
    is_chain: bool
    """Whether the run goes beyond R1-Zero."""
    preference_tasks: tuple[str, ...]
    """Tasks that ask for a good reply and not for a right answer."""
    manifest: Row
    seconds: float
    """Of all stages."""
    tables: Sequence[TableView]
    own: StageTable | None
    """What the stages say of themselves, where no stage of kind evaluate has evaluated."""
    learned: Sequence[RLStage]
    """RL stages; in a run of R1-Zero alone the stage that the page is about first, and whatever was evaluated twice."""
    rivals: Sequence[Rivals]
    """RL stages side by side that start from one model."""
    headline: str | None
    """Name of the stage that the page is about."""
    showcase: Pair | None
    """One chain before and after."""
    showcase_sides: tuple[str, str]
    lineage: Sequence[Node]
    trends: Sequence[Trend]
    """Language consistency."""
    factory: Sequence[MadeSamples]
    reward_models: Sequence[RewardModel]
    gold: Sequence[AgainstGold]
    distilled: Sequence[Distilled]
    searched: Sequence[SearchRounds]
    """Stages of tree search."""
    probed: Sequence[Probed]
    process_rewards: Sequence[ProcessRewards]
    plain: Sequence[PlainStage]
    costs: Sequence[Cost]
    pretraining: Sequence[Series]
    """Loss of each stage of pretraining."""
    loads: Mapping[str, Mapping[str, Series]]
    """Stage that trained a model with experts -> layer -> how far the most loaded expert is above the mean."""
    gates: Sequence[Row]
    words: Sequence[str]
    """Reflective words that any RL stage counts."""
    illnesses: Sequence[Illness]
    """What the doctor finds."""
    skipped: Mapping[str, int]
    """Log -> lines of it that could not be read."""


def read_run(run: RunFolder, without: RunFolder | None = None) -> RunView:
    """
    Args:
        without: a run whose reasoning RL was paid nothing for the language, to draw beside this one's.
    """
    tables = stage_tables(run)
    views = [TableView(table=table, claims=claims(table), along=_along(run, table)) for table in tables]
    learned = [rl_stage(run, stage) for stage in _learned(run)]
    headline = run.headline
    pair, sides = _showcase(run, tables[-1] if tables else None)
    return RunView(
        path=str(run.path),
        recipe=run.recipe_name,
        recipe_text=run.recipe_text,
        title=f"{run.recipe_name}: {_about(run)}",
        verdict=chain_verdict(run, tables[-1] if tables else None),
        is_chain=run.is_chain,
        preference_tasks=run.preference_tasks,
        manifest=run.manifest,
        seconds=sum(stage.seconds or 0.0 for stage in run.stages),
        tables=views,
        own=None if tables else own_table(run),
        learned=learned,
        rivals=rivals(run),
        headline=headline.name if headline else None,
        showcase=pair,
        showcase_sides=sides,
        lineage=lineage(run),
        trends=trends(run, without),
        factory=made_samples(run),
        reward_models=reward_models(run),
        gold=against_gold(run),
        distilled=distilled(run),
        searched=search_rounds(run),
        probed=probed(run),
        process_rewards=process_rewards(run),
        plain=plain_stages(run),
        costs=costs(run),
        pretraining=[series(stage.metrics, "loss") for stage in run.of_kind("pretrain")],
        loads={run.title(stage.name): loads for stage in run.stages if (loads := _loads(stage))},
        gates=[gate for stage in run.stages for gate in stage.gates],
        words=words_of([one for stage in run.rl_stages for one in compare(stage.evals)]),
        illnesses=illnesses(run, time.time()),
        skipped=run.skipped,
    )


def _loads(stage: StageFolder) -> dict[str, Series]:
    key = "max_violation_layer"
    return {
        f"layer {name.removeprefix(key)}": line
        for name, line in all_series(stage.metrics).items()
        if name.startswith(key)
    }


def sentence(path: Path, stage: str) -> str:
    """The verdict, if the stage is the RL stage that the report is about; else nothing."""
    run = RunFolder(path)
    headline = run.headline
    if headline is None or headline.name != stage or not run.is_rl(headline):
        return ""
    tables = stage_tables(run)
    return chain_verdict(run, tables[-1] if tables else None)


def _about(run: RunFolder) -> str:
    """``from base to R1``: as far as the recipe goes."""
    if run.is_chain:
        named = [name for name in run.planned if (facts := STAGES.get(run.kind(name))) and facts.alias]
        return f"from base to {run.alias(named[-1])}" if named else "a chain"
    return run.title(run.headline.name) if run.headline else "run"


def _learned(run: RunFolder) -> list[StageFolder]:
    if run.is_chain:
        return run.rl_stages
    first = [run.headline] if run.headline else []
    return first + [stage for stage in run.stages if stage not in first and (run.is_rl(stage) or compare(stage.evals))]


def _along(run: RunFolder, table: StageTable) -> list[dict[str, Reply]]:
    stage, ends = run.stage(table.stage), table.landmarks
    return along(stage.rollouts, ends) if stage is not None and ends[0] != ends[-1] else []


def _showcase(run: RunFolder, table: StageTable | None) -> tuple[Pair | None, tuple[str, str]]:
    """One chain of the first and of the last checkpoint that were evaluated; of the headline's stage where none was."""
    stage = run.stage(table.stage) if table else None
    if table is not None and stage is not None:
        first, last = table.checkpoints[0], table.checkpoints[-1]
        if first != last and (pair := turned(stage.rollouts, first, last)) is not None:
            return pair, (table.alias(first), table.alias(last))
    if run.headline is None:
        return None, ("before", "after")
    found = rl_stage(run, run.headline)
    return showcase(found.pairs), found.sides


def as_json(value: Any) -> Any:
    """A view model as plain JSON values: fields and properties by name; what is no number becomes null."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [item.name for item in dataclasses.fields(value)]
        names += [name for name, item in vars(type(value)).items() if isinstance(item, property)]
        return {name: as_json(getattr(value, name)) for name in names}
    if isinstance(value, Mapping):
        return {str(key): as_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_json(item) for item in value]
    if isinstance(value, float) and not abs(value) < float("inf"):
        return None
    return value if value is None or isinstance(value, (str, int, float, bool)) else str(value)
