"""The nouns of a run. Frozen, slotted, explained under each field; nothing here imports torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any, Literal

__all__ = [
    "Completion", "Group", "Labelled", "Message", "Pair", "Prompt", "Sample", "Sampling", "Score", "StageResult",
    "with_own_facts",
]  # fmt: skip


SHOWN = 5
"""Further answers that ``Prompt.reference`` names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A turn of a chat."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str
    """Its text; an assistant's thinking stands in front, in ``<think>`` tags."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """One question of a task, with all that its reward needs to judge an answer."""

    id: str = ""
    """Stable within the task and the split, for example ``countdown/test/17``; filled in where a task gives none."""
    task: str = ""
    """Name of the task that judges it, a key of the recipe's ``[tasks]``; filled in for a user's task."""
    question: str
    """What the user says, before any chat template."""
    answer: str | None = None
    """Reference answer, where the task has one."""
    also: tuple[str, ...] = ()
    """Further answers that are as right, of a question with several: aliases, what other people answered."""
    language: str = "en"
    """Language of the question, ISO 639-1; the target of language consistency."""
    cluster: str = ""
    """Problems that share this are not independent (the same number multiset); intervals are clustered by it."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """JSON values for the task's own rule, for example ``{"numbers": [7, 1, 5], "target": 34}``."""
    history: tuple[Message, ...] | None = None
    """Of a chat, what stands before the question: a system prompt, earlier turns."""

    @property
    def answers(self) -> tuple[str, ...]:
        """Every answer that is right; none where the task has no reference."""
        return () if self.answer is None else (self.answer, *self.also)

    @property
    def reference(self) -> str:
        """What is right, on one line for a reader: ``Sun; also: the Sun; Sol``; empty without a reference."""
        more = f"; also: {'; '.join(self.also[:SHOWN])}" if self.also else ""
        left = f"; {len(self.also) - SHOWN} more" if len(self.also) > SHOWN else ""
        return f"{self.answer or ''}{more}{left}"


def with_own_facts(prompt: Prompt) -> Prompt:
    """For code that may use up or change the lists that it is handed: the others who read them keep theirs."""
    return replace(prompt, facts=_copied(prompt.facts)) if prompt.facts else prompt


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copied(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_copied(item) for item in value]
    return copy(value) if isinstance(value, (set, bytearray)) else value


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How completions are drawn."""

    n: int = 16
    """Completions a prompt (G in the paper)."""
    max_tokens: int = 256
    """Longest completion, in tokens, the end token counted."""
    temperature: float = 1.0
    """0 is greedy."""
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    """A completion ends after the token that completes one of these strings; the string is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """What the policy wrote after a prompt."""

    token_ids: tuple[int, ...]
    """Exactly what was sampled, the end token included when it was; the loss mask is these tokens."""
    logprobs: tuple[float, ...]
    """Sampler's log-prob of each token, under the temperature and the top-p it was drawn with."""
    text: str
    """Decoded, special tokens kept except the end token."""
    finish: Literal["stop", "length"]
    """``stop``: end token or stop string; ``length``: cut at ``max_tokens``."""
    version: int = 0
    """Policy version that wrote it; the oldest, where the weights changed while it was written."""
    spans: tuple[tuple[int, int], ...] = ()
    """(version, tokens) in order, where more than one wrote it; empty: ``version`` wrote all."""
    experts: Any = field(default=None, compare=False, repr=False)
    """Tensor int16 [prompt and completion but for the last token, layers with experts, k]: what each token chose in the
    engine, where that tells it (``rollout.recorded``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A prompt and its completions: what an advantage is taken over. prompt + completion + version = a rollout."""

    prompt: Prompt
    prompt_ids: tuple[int, ...]
    """The prompt as the model saw it, template applied."""
    completions: tuple[Completion, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What a reward says of one completion."""

    total: float
    """Weighted sum of the parts: the reward."""
    parts: Mapping[str, float] = field(default_factory=dict)
    """Unweighted parts by name, for example ``{"accuracy": 1.0, "format": 0.0}``; a user's function may add further
    numbers, as ``my.py:brevity/words``."""
    answer: str | None = None
    """The answer taken from the completion, in canonical form, for majority voting; None if there is none."""
    status: Literal["ok", "ungradable", "timeout"] = "ok"
    """``ungradable``: the verifier failed on it; ``timeout``: it passed the deadline and was killed. Both earn 0."""
    cause: str = ""
    """One line on a status that is not ``ok``."""
    abstained: tuple[str, ...] = ()
    """Parts that say nothing of this completion; they are not in ``parts``."""
    steps: tuple[tuple[int, float], ...] = ()
    """Where a process reward model scores: of each step, tokens of the completion up to its end, and its score."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One supervised example, a line of a ``samples.jsonl``: a question and the response to learn."""

    id: str
    """Unique in its file, for example ``countdown/train/17/3``."""
    prompt: str
    """The question, before any chat template."""
    response: str
    """What the assistant writes: the thinking part, the summary and the answer; no end token."""
    domain: str
    """What a mixture weighs it by and the data card counts it under: a task's name, mostly."""
    language: str = "en"
    """Of the question, ISO 639-1."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """JSON values: the route it came by, the stage and policy version that wrote it, the completion as it was (empty
    where the response is that), every edit since."""
    history: tuple[Message, ...] | None = None
    """Of a chat, what stands before the prompt: a system prompt, earlier turns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two responses to a prompt, the better one named."""

    prompt: Prompt
    chosen: str
    rejected: str
    fault: str = ""
    """What is wrong with the rejected one, where that is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """A response with its safety label."""

    prompt: Prompt
    response: str
    safe: bool
    fault: str = ""
    """What kind of response it is, where that is known: ``harmful, unsafe``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageResult:
    """What a stage leaves behind; written as ``result.json`` when, and only when, the stage is done."""

    metrics: Mapping[str, Any]
    checkpoint: str | None = None
    """Folder relative to the run, in hub format; None for a stage that makes no model."""
    inputs: Sequence[str] = ()
    """Earlier stages, or the name of the model, that it started from."""
