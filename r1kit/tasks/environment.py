"""A single-turn environment of the ``verifiers`` package as a task: its data set, its parser, its rubric.

The environment is a module with ``load_environment``, as its hub installs them, or a user's own beside the recipe. Its
system prompt and whatever it shows before the question become part of the question. Its rubric's sum is the grade, from
0 to 1 (pay parts of it with ``reward.partial_credit``); every function of it is a diagnostic by its name. The rubric
reads whole completions, so the answer style of the reward does not matter.

What is not covered: environments of several turns, with tools, or whose rubric compares completions with one another;
judges and other functions that ask a server wait for it inside the verifier's deadline.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from r1kit.errors import InputError, MissingError, first_line
from r1kit.records import Prompt
from r1kit.tasks.listed import Listed
from r1kit.tasks.split import check_shares, digest
from r1kit.tasks.task import Grade, Split, Task

__all__ = ["Environment", "EnvironmentConfig", "find_here", "references_of"]

FAMILY = "verifiers/"


def find_here() -> None:
    """Modules are looked for in the working folder too, last: one that is being written lies there."""
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)


def references_of(kinds: Mapping[str, str]) -> dict[str, str]:
    """Setting -> reference to the code, of those tasks that are environments.

    Args:
        kinds: task -> kind.
    """
    found = {
        f"tasks.{name}.kind": f"{kind.rpartition('/')[2].replace('-', '_')}:load_environment"
        for name, kind in kinds.items()
        if kind.startswith(FAMILY) and kind != FAMILY
    }
    if found:
        find_here()
    return found


_MONITORS = ("num_turns",)
"""What verifiers adds to every rubric by itself, to count the turns."""
_GROUPED = {"states", "prompts", "completions", "answers", "tasks", "infos"}
"""Parameters of a rubric's function that takes all completions of a prompt at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentConfig:
    environment: str
    """Name of the environment; a recipe writes ``kind = "verifiers/NAME"``."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Of its ``load_environment``."""
    dev_share: float = 0.05
    """Share of its training questions, by hash, held out for choosing settings."""
    test_share: float = 0.1
    """The same for the reported result; unused where the environment has evaluation data of its own."""
    split_seed: int = 0
    """Decides the parts; the same for every run."""
    seed: int = 0
    """Seed of the training order."""

    def __post_init__(self) -> None:
        check_shares(f"verifiers/{self.environment}", self.dev_share, self.test_share)


class Environment(Task):
    Config = EnvironmentConfig
    named = "environment"
    reads = "completion"

    def __init__(self, name: str, config: EnvironmentConfig) -> None:
        """Raises InputError for an environment that cannot be loaded or has several turns; MissingError without the
        package."""
        self.name, self.config = name, config
        self._where = f"verifiers/{config.environment}"
        vf = _package()
        self._env = _loaded(vf, config, self._where)
        if not isinstance(self._env, vf.SingleTurnEnv):
            raise InputError(
                f"{self._where} is a {type(self._env).__name__}, which may take several turns; only single-turn "
                f"environments (SingleTurnEnv) can be trained on"
            )
        self._judges = [judge for judge in _judges(self._env.rubric) if judge.name not in _MONITORS]
        self._check_rubric()
        held = self._env.build_eval_dataset()
        self._rows = Listed(
            self._where,
            self._prompts(self._env.build_dataset() or [], ""),
            lambda prompt: prompt,
            test=None if held is None else self._prompts(held, "test/"),
            called="question",
            dev_share=config.dev_share,
            test_share=config.test_share,
            split_seed=config.split_seed,
            seed=config.seed,
        )

    def train(self, index: int) -> Prompt:
        """Every question once in each pass, each pass in an order of its own."""
        return self._rows.train(index)

    def held_out(self, split: Split, limit: int | None = None) -> list[Prompt]:
        """The environment's own evaluation data are the test split, where it has some."""
        return self._rows.held_out(split, limit)

    def grade(self, prompt: Prompt, answer: str) -> Grade:
        """The rubric's weighted sum, cut to 0..1; ``answer`` is the whole completion."""
        paid = [judge for judge in self._judges if judge.weight]
        values = self._values(paid, prompt, answer)
        total = sum(judge.weight * value for judge, value in zip(paid, values, strict=True))
        parsed = self._env.parser.parse_answer(_completion(answer))
        return Grade(correct=min(1.0, max(0.0, total)), canonical=" ".join(str(parsed or "").split()))

    def diagnose(self, prompt: Prompt, text: str) -> Mapping[str, float]:
        """What each function of the rubric gives, by its name."""
        values = self._values(self._judges, prompt, text)
        return {judge.name: value for judge, value in zip(self._judges, values, strict=True)}

    def _values(self, judges: Iterable[_Judge], prompt: Prompt, text: str) -> list[float]:
        """Raises what a function raises; verifiers itself would count it as 0."""
        row = json.loads(prompt.facts["row"])
        if isinstance(row.get("info"), str):
            row["info"] = json.loads(row["info"])
        state = {**row, "completion": _completion(text), "trajectory": [], "timing": {}}
        there = {name: state.get(name) for name in ("prompt", "completion", "answer", "info", "task")}
        given = {**row, **there, "state": state, "parser": self._env.parser}
        return [float(_called(judge.function, {**given, **judge.objects})) for judge in judges]

    def _check_rubric(self) -> None:
        if not any(judge.weight for judge in self._judges):
            raise InputError(f"{self._where} has no rubric, so nothing says which answer is right")
        for judge in self._judges:
            if _GROUPED & set(inspect.signature(judge.function).parameters):
                raise InputError(
                    f"{self._where}: {judge.name} of its rubric compares completions with one another, which a "
                    f"task's grade cannot; write it as a part of the reward instead"
                )

    def _prompts(self, rows: Iterable[Mapping[str, Any]], prefix: str) -> list[Prompt]:
        return [self._prompt(f"{self.name}/{prefix}{place}", dict(row)) for place, row in enumerate(rows)]

    def _prompt(self, identity: str, row: dict[str, Any]) -> Prompt:
        question = _text(row["prompt"])
        answer = row.get("answer")
        return Prompt(
            id=identity,
            task=self.name,
            question=question,
            answer=str(answer) if answer not in (None, "") else None,
            cluster=digest(question),
            facts={"row": json.dumps(row, ensure_ascii=False, default=str)},
        )


def _package() -> Any:
    try:
        import verifiers  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError:
        raise MissingError("environments of verifiers need that package; run pip install 'r1kit[verifiers]'") from None
    if not hasattr(verifiers, "SingleTurnEnv"):
        raise MissingError(
            f"verifiers {verifiers.__version__} has no SingleTurnEnv any more; run pip install 'r1kit[verifiers]', "
            f"which brings a version that has"
        )
    return verifiers


def _loaded(vf: Any, config: EnvironmentConfig, where: str) -> Any:
    find_here()  # where one that is being written lies
    try:
        return vf.load_environment(config.environment, **config.arguments)
    except Exception as error:  # whatever the environment, its data set or the network raises
        cause = error.__cause__ or error
        raise InputError(f"{where}: {type(cause).__name__}: {first_line(cause)}") from error


class _Judge(NamedTuple):
    """One function of a rubric."""

    name: str
    function: Callable[..., Any]
    weight: float
    objects: Mapping[str, Any]
    """What its rubric hands it beside the completion: the parser, mostly."""


def _judges(rubric: Any) -> list[_Judge]:
    """Every function of a rubric, or of the rubrics that it is made of."""
    if hasattr(rubric, "rubrics"):
        return [judge for inner in rubric.rubrics for judge in _judges(inner)]
    return [
        _Judge(getattr(function, "__name__", type(function).__name__), function, float(weight), rubric.class_objects)
        for function, weight in zip(rubric._get_reward_funcs(), rubric._get_reward_weights(), strict=True)
    ]


def _called(function: Callable[..., Any], given: Mapping[str, Any]) -> Any:
    """A plain or an async function, with what it asks for by name."""
    parameters = inspect.signature(function).parameters
    takes_all = any(each.kind is each.VAR_KEYWORD for each in parameters.values())
    value = function(**(given if takes_all else {name: given[name] for name in parameters if name in given}))
    return asyncio.run(_awaited(value)) if inspect.isawaitable(value) else value


async def _awaited(value: Any) -> Any:
    return await value


def _completion(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]


def _text(prompt: Any) -> str:
    """Messages as one text, system prompt first."""
    if isinstance(prompt, str):
        return prompt
    return "\n\n".join(str(message["content"]) for message in prompt)
