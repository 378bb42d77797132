"""A fresh decoder and tokenizer for a corpus or for text, and the batches it is pretrained on."""

from __future__ import annotations

from collections.abc import Callable

import torch
from transformers import PreTrainedTokenizerBase

from r1kit.backends.backend import backend_of
from r1kit.backends.models import LoadedModel
from r1kit.cluster.ranks import Ranks
from r1kit.loops import supervised
from r1kit.loops.packing import Pieces
from r1kit.loops.pretraining_settings import Pretrain
from r1kit.loops.text import pieces, text_of
from r1kit.tasks.corpora import build_corpus
from r1kit.tasks.corpus import Corpus
from r1kit.text.tokenizer import build_tokenizer
from r1kit.update.learner import Batch, Learner, Row
from r1kit.workspace import Workspace

__all__ = ["document_batches", "pretrain", "text_batches"]


def pretrain(config: Pretrain, workspace: Workspace) -> tuple[LoadedModel, Learner]:
    """A base model: a fresh decoder trained on the text or the corpus of the settings of stage ``pretrain``."""
    backend, seed, ranks = backend_of(workspace.recipe, workspace.ranks), workspace.seed, workspace.ranks
    if config.data:
        text = text_of(config, workspace)
        loaded = backend.draw(workspace.recipe.model, text.tokenizer, seed)
        context = min(config.context or loaded.positions, loaded.positions)
        batch_of = text_batches(pieces(config, text, context, seed), config.tokens_per_step, ranks)
    else:
        corpus = build_corpus(config.corpus)
        loaded = backend.draw(workspace.recipe.model, build_tokenizer(corpus.vocabulary()), seed)
        batch_of = document_batches(corpus, loaded.tokenizer, config.tokens_per_step, seed, ranks)
    workspace.parameters = loaded.parameters
    learner = backend.open_learner(
        loaded, config.optimiser, dtype=config.dtype, token_budget=config.micro_batch_tokens,
        experts=config.experts, further=config.mtp_weight,
    )  # fmt: skip
    supervised.train(config, batch_of, learner, workspace)
    return loaded, learner


def text_batches(found: Pieces, tokens_per_step: int, ranks: Ranks) -> Callable[[int], Batch]:
    """Step -> this rank's share of its tokens, a row a piece: a pure function of the step."""
    share = tokens_per_step // ranks.size

    def batch_of(step: int) -> Batch:
        first = (step * ranks.size + ranks.rank) * share
        rows = found.read(first, share)
        weight = 1.0 / tokens_per_step
        return Batch(
            prompts=(),
            rows=[Row(prompt=-1, tokens=torch.from_numpy(row.copy()), weight=weight) for row in rows],
            sharded=True,
        )

    return batch_of


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
