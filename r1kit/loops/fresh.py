"""A fresh decoder and tokenizer for a corpus, and the batches it is pretrained on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from r1kit.cluster.ranks import Ranks
from r1kit.loops import supervised
from r1kit.loops.policy import multiplied_weights
from r1kit.model.decoder import Decoder, DecoderConfig
from r1kit.model.tokenizer import build_tokenizer
from r1kit.rollout.streams import stream_seed
from r1kit.tasks.corpus import Corpus
from r1kit.update.learner import Batch, Row
from r1kit.update.local import LearnerSettings, LocalLearner
from r1kit.workspace import Workspace

__all__ = ["document_batches", "fresh_model", "pretrain"]


def fresh_model(workspace: Workspace, corpus: Corpus) -> tuple[Decoder, PreTrainedTokenizerBase]:
    """The recipe's decoder with weights drawn from its seed, and a tokenizer over the corpus's words."""
    shape = workspace.recipe.model
    tokenizer = build_tokenizer(corpus.vocabulary())
    model = Decoder(
        DecoderConfig(
            family=shape.family,
            vocab_size=len(tokenizer),
            hidden_size=shape.hidden_size,
            intermediate_size=shape.intermediate_size,
            num_layers=shape.num_layers,
            num_heads=shape.num_heads,
            num_kv_heads=shape.num_kv_heads,
            head_dim=shape.hidden_size // shape.num_heads,
            max_positions=shape.max_positions,
            tie_embeddings=shape.tie_embeddings,
            qkv_bias=shape.family == "qwen2",
            qk_norm=shape.family == "qwen3",
        )
    )
    model.initialise(torch.Generator().manual_seed(stream_seed(workspace.seed, "initialise") % 2**62))
    return model, tokenizer


def pretrain(config: Any, corpus: Corpus, workspace: Workspace) -> tuple[Decoder, PreTrainedTokenizerBase]:
    """A base model: a fresh decoder trained on the corpus under the settings of stage ``pretrain``."""
    model, tokenizer = fresh_model(workspace, corpus)
    workspace.weights = multiplied_weights(model)
    settings = LearnerSettings(optimiser=config.optimiser, token_budget=config.micro_batch_tokens)
    learner = LocalLearner(model, settings, workspace.ranks)
    batch_of = document_batches(corpus, tokenizer, config.tokens_per_step, workspace.seed, workspace.ranks)
    supervised.train(config, batch_of, learner, workspace)
    return model, tokenizer


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
