"""A reward model: a policy's body with a scalar head, as `transformers` classifies sequences (R1 paper, section 2.4).

Its folder opens with AutoModelForSequenceClassification and AutoTokenizer; ``r1kit_reward.json`` beside them keeps what
only we know. Axes: B rows, T their longest length.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from r1kit.checkpoint.context import positions_of, refuse_longer
from r1kit.checkpoint.folder import replacing
from r1kit.checkpoint.headers import read_headers
from r1kit.checkpoint.hub import open_tokenizer, read_config, save_tokenizer
from r1kit.errors import InputError, first_line
from r1kit.records import Message
from r1kit.structure import plain, structure
from r1kit.text.habits import end_of_turn
from r1kit.text.seen import Sees, seen
from r1kit.text.template import Template, render

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

__all__ = ["Outlook", "RewardModel", "alike", "padded"]

SETTINGS_FILE = "r1kit_reward.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What a reward model is shown, and the scale its scores are given on; ``r1kit_reward.json``."""

    sees: Sees = "response"
    """``summary`` or ``response``: which part of a response it is shown."""
    template: Template = field(default_factory=Template)
    """How the question before it becomes a prompt: the policy's."""
    mean: float = 0.0
    """Taken off a score; the mean of held-out scores where they are standardised."""
    std: float = 1.0
    """A score is divided by it."""

    def __post_init__(self) -> None:
        if not 0 < self.std < math.inf:
            raise InputError(f"a reward model's scores are divided by std = {self.std}: must be above 0")


class RewardModel:
    """Scores responses. The score is read off the last token: the end token, where padding is another one."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, outlook: Outlook) -> None:
        self.model = model.eval()
        self.products = torch.float32
        """Dtype of the matrix products; weights and their gradient are float32."""
        self.tokenizer = tokenizer
        self.outlook = outlook
        self.pad: int = model.config.get_text_config().pad_token_id
        self._end = _closing(tokenizer, outlook.template, self.pad)
        self.read = 0
        """Tokens scored so far, padding left out."""

    @property
    def positions(self) -> int:
        """Most tokens of a row."""
        return positions_of(self.model.config.get_text_config().to_dict())[0]

    @property
    def parameters(self) -> int:
        """All of them."""
        return sum(weight.numel() for weight in self.model.parameters())

    @classmethod
    def create(cls, folder: Path, outlook: Outlook) -> RewardModel:
        """The body of a language model with a head of zeros: before training nothing is better than anything else.

        Raises:
            InputError: the folder is no language model, or its architecture cannot classify sequences.
        """
        model, loading = _load(folder, num_labels=1)
        head = {name for name, _ in model.named_parameters() if not name.startswith(f"{model.base_model_prefix}.")}
        if missing := sorted(set(loading["missing_keys"]) - head):
            raise InputError(f"{folder} is no whole language model: weight {missing[0]!r} is missing")
        if len(head) != 1:  # of several layers of zeros none would ever get a gradient
            raise InputError(f"{folder} cannot become a reward model: its classifier's head is no single matrix")
        with torch.no_grad():
            model.get_parameter(*head).zero_()
        tokenizer = open_tokenizer(folder)
        table: Any = model.get_input_embeddings()
        if tokenizer.pad_token_id is None or tokenizer.pad_token_id >= table.num_embeddings:
            tokenizer.pad_token = tokenizer.eos_token
        if tokenizer.pad_token_id is None:
            raise InputError(f"the tokenizer in {folder} has neither a pad nor an end token; a reward model needs one")
        model.config.get_text_config().pad_token_id = tokenizer.pad_token_id
        return cls(model, tokenizer, outlook)

    @classmethod
    def open(cls, folder: Path) -> RewardModel:
        """What ``save`` wrote.

        Raises:
            InputError: no such folder, or it is damaged.
        """
        path = folder / SETTINGS_FILE
        if not path.is_file():
            raise InputError(f"{folder} is no reward model: it has no {SETTINGS_FILE}; stage reward_models writes one")
        try:
            table = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise InputError(f"{path}: not valid JSON: {error}") from None
        if not isinstance(table, dict):
            raise InputError(f"{path}: expected a JSON object")
        outlook: Outlook = structure(Outlook, table, str(path))
        model, loading = _load(folder)
        if missing := sorted(loading["missing_keys"]):
            raise InputError(f"{folder} is no whole reward model: weight {missing[0]!r} is missing")
        return cls(model, open_tokenizer(folder), outlook)

    def save(self, folder: Path) -> None:
        """Write the folder as a whole, or leave what was there."""
        text = json.dumps(plain(self.outlook), ensure_ascii=False, indent=1) + "\n"
        side, self.tokenizer.padding_side = self.tokenizer.padding_side, "right"
        try:
            with _quiet(), replacing(folder) as new:
                self.model.save_pretrained(new)
                save_tokenizer(new, self.tokenizer)
                (new / SETTINGS_FILE).write_text(text, encoding="utf-8")
        finally:
            self.tokenizer.padding_side = side

    def encode(self, question: str, response: str, history: Sequence[Message] | None = None) -> list[int]:
        """Token ids of the prompt, the part of the response that is seen, and the end token."""
        prompt = render(self.outlook.template, self.tokenizer, question, history)
        part = self.tokenizer.encode(seen(response, self.outlook.sees), add_special_tokens=False)
        return [*prompt, *part, *self._end]

    def forward(self, rows: Sequence[Sequence[int]]) -> Tensor:
        """Unscaled score of each row, [B], with gradient."""
        with self._computing(rows) as inputs:
            logits: Tensor = self.model(**inputs).logits  # [B, 1]
        return logits[:, 0].float()

    def forward_steps(self, rows: Sequence[Sequence[int]], ends: Sequence[Sequence[int]]) -> Tensor:
        """Unscaled score of each row as it stands after each of so many tokens, row by row, with gradient.

        Attention looks back alone, so these are the scores of the rows cut there.
        """
        with self._computing(rows) as inputs:
            hidden: Tensor = self.model.base_model(**inputs).last_hidden_state  # [B, T, d]
            row = torch.tensor([place for place, own in enumerate(ends) for _ in own])
            at = torch.tensor([end - 1 for own in ends for end in own])
            scores: Tensor = self._head(hidden[row.to(hidden.device), at.to(hidden.device)])  # [steps, 1]
        return scores[:, 0].float()

    @property
    def _head(self) -> torch.nn.Module:
        """The matrix from hidden states to a score."""
        inside = f"{self.model.base_model_prefix}."
        name = next(name for name, _ in self.model.named_parameters() if not name.startswith(inside))
        head: torch.nn.Module = self.model.get_submodule(name.rpartition(".")[0])
        return head

    @contextmanager
    def _computing(self, rows: Sequence[Sequence[int]]) -> Iterator[dict[str, Any]]:
        """What the model is given for these rows, under its dtype."""
        device = next(self.model.parameters()).device
        tokens, mask = padded(rows, self.pad)
        text = self.model.config.get_text_config()
        refuse_longer(text.model_type, positions_of(text.to_dict()), tokens.shape[1])
        with torch.autocast(device.type, torch.bfloat16, enabled=self.products is torch.bfloat16):
            yield {"input_ids": tokens.to(device), "attention_mask": mask.to(device), "use_cache": False}

    def logits(
        self, questions: Sequence[str], responses: Sequence[str], budget: int = 16384,
        histories: Sequence[Sequence[Message] | None] | None = None,
    ) -> list[float]:  # fmt: skip
        """As ``score``, before mean and std; for safety, log-odds that a response is safe."""
        before = histories or [None] * len(questions)
        rows = [self.encode(*each) for each in zip(questions, responses, before, strict=True)]
        return self.logits_of(rows, budget)

    @torch.no_grad()
    def logits_of(self, rows: Sequence[Sequence[int]], budget: int = 16384) -> list[float]:
        """As ``logits``, of rows that are encoded already; equal ones, of which a group has many, are read once."""
        distinct = list(dict.fromkeys(map(tuple, rows)))
        self.read += sum(map(len, distinct))
        found: dict[tuple[int, ...], float] = {}
        for batch in alike(list(map(len, distinct)), budget):
            some = [distinct[place] for place in batch]
            found |= zip(some, self.forward(some).tolist(), strict=True)
        return [found[tuple(row)] for row in rows]

    @torch.no_grad()
    def steps_of(
        self, rows: Sequence[Sequence[int]], ends: Sequence[Sequence[int]], budget: int = 16384
    ) -> list[list[float]]:
        """Probability of each row's steps, read at their last tokens: of a model that learnt from labels of steps.

        Args:
            rows: token ids, prompt and completion.
            ends: of each row, tokens up to the end of each step, the prompt's counted.
            budget: as for ``score``.
        """
        found: list[list[float]] = [[] for _ in rows]
        self.read += sum(len(row) for row in rows)
        for batch in alike([len(row) for row in rows], budget):
            own = [ends[place] for place in batch]
            scores = iter(torch.sigmoid(self.forward_steps([rows[place] for place in batch], own)).tolist())
            for place, places in zip(batch, own, strict=True):
                found[place] = [next(scores) for _ in places]
        return found

    def score(
        self, questions: Sequence[str], responses: Sequence[str], budget: int = 16384,
        histories: Sequence[Sequence[Message] | None] | None = None,
    ) -> list[float]:  # fmt: skip
        """How good each response is: the higher the better, on the stored scale.

        Args:
            questions: before any template.
            responses: whole, tags kept; the model is shown its part.
            budget: most tokens in one forward pass, padding counted; bounds memory.
            histories: what stands before each question in its chat.
        """
        mean, std = self.outlook.mean, self.outlook.std
        return [(value - mean) / std for value in self.logits(questions, responses, budget, histories)]


def _closing(tokenizer: PreTrainedTokenizerBase, template: Template, pad: int) -> list[int]:
    """Tokens that close a response, as the policy closes it; none where padding would hide them."""
    own = () if tokenizer.eos_token_id is None else (tokenizer.eos_token_id,)
    ends = end_of_turn(tokenizer, template.arguments) if template.name == "chat" else own
    return [] if pad in ends else list(ends)


def padded(rows: Sequence[Sequence[int]], pad: int) -> tuple[Tensor, Tensor]:
    """Tokens int64 [B, T], padded on the right, and the mask [B, T] that is 0 at padding."""
    longest = max(len(row) for row in rows)
    tokens = torch.tensor([[*row, *[pad] * (longest - len(row))] for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
    return tokens, mask


def alike(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Places of about one length together, at most ``budget`` tokens a batch with padding; a longer one goes alone."""
    batches: list[list[int]] = []
    for place in sorted(range(len(lengths)), key=lambda i: lengths[i]):
        if batches and (len(batches[-1]) + 1) * lengths[place] <= budget:
            batches[-1].append(place)
        else:
            batches.append([place])
    return batches


def _load(folder: Path, **settings: Any) -> tuple[PreTrainedModel, dict[str, Any]]:
    """float32 on the CPU, and which weights were missing."""
    from transformers import AutoModelForSequenceClassification

    config = read_config(folder)
    for name, value in settings.items():
        setattr(config, name, value)
    read_headers(folder)  # a torn file is told here
    try:
        with _quiet():
            model, loading = AutoModelForSequenceClassification.from_pretrained(
                folder,
                config=config,
                dtype=torch.float32,
                use_safetensors=True,
                output_loading_info=True,
                trust_remote_code=False,
            )
    except (ValueError, RuntimeError, OSError) as error:
        raise InputError(f"{folder} cannot become a reward model: {first_line(error)}") from error
    for weight in model.parameters():  # mapped files begin anywhere, and what is aligned otherwise rounds otherwise
        weight.data = weight.data.clone()
    return model, loading


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bar, and no warning of the fresh head, which is meant."""
    from transformers.utils import logging

    said, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(said)
        if bars:
            logging.enable_progress_bar()
