"""A fresh decoder and tokenizer for a corpus, and the batches it is pretrained on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from r1kit.backends.backend import backend_of
from r1kit.backends.models import LoadedModel
from r1kit.cluster.ranks import Ranks
from r1kit.loops import supervised
from r1kit.tasks.corpus import Corpus
from r1kit.update.learner import Batch, Learner, Row
from r1kit.workspace import Workspace

__all__ = ["document_batches", "pretrain"]


def pretrain(config: Any, corpus: Corpus, workspace: Workspace) -> tuple[LoadedModel, Learner]:
    """A base model: a fresh decoder trained on the corpus under the settings of stage ``pretrain``."""
    backend = backend_of(workspace.recipe, workspace.ranks)
    loaded = backend.draw(workspace.recipe.model, corpus.vocabulary(), workspace.seed)
    workspace.parameters = loaded.parameters
    learner = backend.open_learner(loaded, config.optimiser, dtype=config.dtype, token_budget=config.micro_batch_tokens)
    batch_of = document_batches(corpus, loaded.tokenizer, config.tokens_per_step, workspace.seed, workspace.ranks)
    supervised.train(config, batch_of, learner, workspace)
    return loaded, learner


def document_batches(
    corpus: Corpus, tokenizer: PreTrainedTokenizerBase, tokens_per_step: int, seed: int, ranks: Ranks
) -> Callable[[int], Batch]:
    """Step -> this rank's share of the step's documents, ``tokens_per_step / ranks`` tokens, the last one cut.

    A pure function of the step: rank r of R reads documents from ``(step * R + r) * share`` on, and a document has at
    least one token, so no document is read twice. Every seed of a run reads documents of its own.
    """
    first = seed << 40
    share = tokens_per_step // ranks.size
    begin, end = tokenizer.bos_token_id, tokenizer.eos_token_id
    ids = tokenizer.get_vocab()
    weight = 1.0 / tokens_per_step

    def batch_of(step: int) -> Batch:
        index, room, rows = first + (step * ranks.size + ranks.rank) * share, share, []
        while room > 1:
            document = [begin, *(ids[word] for word in corpus.document(index).split()), end][:room]
            rows.append(Row(prompt=-1, tokens=torch.tensor(document), weight=weight))
            index, room = index + 1, room - len(document)
        return Batch(prompts=(), rows=rows, sharded=True)

    return batch_of
