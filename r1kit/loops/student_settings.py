"""Settings of students. No torch here: ``r1 check`` reads this."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from r1kit.contracts import BASE, Model, StageConfig
from r1kit.data.settings import Reading
from r1kit.errors import InputError
from r1kit.evals.settings import EvaluationConfig
from r1kit.loops.settings import RL, SFT, check_least
from r1kit.tasks.task import Split
from r1kit.update.settings import OptimiserSettings

if TYPE_CHECKING:
    from r1kit.contracts import Recipe

__all__ = ["Distill", "Student"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Student:
    model: Model
    """What it starts from: a name, or the shape of a fresh decoder that is pretrained as the recipe's base is."""
    direct_rl: bool = False
    """Whether RL is run on it too, to compare."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Distill(StageConfig):
    data: str = "rejection_sampling"
    """Stage whose ``samples.jsonl`` the students learn (the paper's 800k), or a file, a folder or a hub data set."""
    read: Reading = field(default_factory=Reading)
    """How the rows of ``data`` are read, where it is no stage."""
    students: Mapping[str, Student] = field(default_factory=dict)
    """By name; the first is the stage's own checkpoint."""
    base_steps: int = 1000
    """Updates that pretrain a fresh student, under the other settings of stage ``pretrain``."""
    sft: SFT = field(default_factory=lambda: SFT(samples_per_step=64, optimiser=OptimiserSettings(lr=1e-4)))
    """How they learn (paper: 2 to 3 epochs, batch 64, cosine to a tenth). Its start and data are the student's."""
    rl: RL = field(default_factory=RL)
    """RL on the student itself, until it has cost what distilling it did; ``steps`` is the most it may take."""
    evaluation: EvaluationConfig = field(default_factory=lambda: EvaluationConfig(split="test"))
    """Of each student's base, distilled and RL model."""

    @property
    def data_sources(self) -> tuple[tuple[str, Reading], ...]:
        """What the students learn."""
        return ((self.data, self.read),)

    def uses(self, recipe: Recipe) -> tuple[str, ...]:
        """Tasks that it trains on or is judged by."""
        return (*self.rl.uses(recipe), *(self.evaluation.tasks or recipe.tasks))

    @property
    def splits(self) -> tuple[Split, ...]:
        """Held-out splits that the stage looks at."""
        return (self.evaluation.split, *self.rl.splits)

    @property
    def lengths(self) -> Mapping[str, int]:
        """Longest completion, in tokens, by the name of the setting."""
        return {
            "rl.sampling.max_tokens": self.rl.sampling.max_tokens,
            "evaluation.max_tokens": self.evaluation.max_tokens,
        }

    def check(self, stage: str, recipe: Recipe) -> None:
        """Students and batch divisions, before anything loads."""
        if not self.students:
            raise InputError(
                f"stages.{stage} has no student; add one, for example [stages.{stage}.students.small.model]"
            )
        check_least(self, stage, 1, "base_steps")
        replace(self.sft, start=BASE, data=self.data, read=self.read, mix={}).check(f"{stage}.sft", recipe)
        self.rl.check(f"{stage}.rl", recipe)
        for name, student in self.students.items():
            if not student.model.name and not recipe.base_stage:
                raise InputError(
                    f"stages.{stage}.students.{name}: a fresh student is pretrained as the base is, and the recipe has "
                    f"no stage of kind pretrain; set model.name"
                )
