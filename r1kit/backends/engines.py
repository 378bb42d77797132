"""Engines by name. What opens one is handed the loaded model: a torch module, its folder, or both, as it likes."""

from __future__ import annotations

from typing import Protocol, cast

import torch

from r1kit.backends.models import LoadedModel
from r1kit.cluster.ranks import Ranks
from r1kit.cluster.settings import Local
from r1kit.errors import InputError
from r1kit.model.decoder import Decoder
from r1kit.model.families.fallback import HubModel
from r1kit.rollout.engine import Engine
from r1kit.rollout.hub import HubEngine
from r1kit.rollout.local import LocalEngine
from r1kit.rollout.stopping import Tokenizer

__all__ = ["OpenEngine", "open_local", "open_transformers"]


class OpenEngine(Protocol):
    """What a name in ``backends.ENGINES`` stands for.

    A recipe's table ``engine = {kind = ..., ...}`` hands two keyword arguments more: ``settings``, what the table says
    beside the kind, and ``ranks``.
    """

    def __call__(self, loaded: LoadedModel, *, dtype: torch.dtype, max_rows: int) -> Engine:
        """An engine with the model's present weights, as version 0, on the model's device.

        Args:
            loaded: what to sample from; later weights come through ``Engine.load_weights``.
            dtype: of the engine's weights and products.
            max_rows: completions that decode side by side; bounds memory.

        Raises:
            InputError: the engine cannot run this model.
        """
        ...


def open_local(
    loaded: LoadedModel, *, dtype: torch.dtype, max_rows: int, settings: Local | None = None, ranks: Ranks | None = None
) -> Engine:
    """This package's own decoding, for the architectures of ``model.decoder``."""
    if not isinstance(loaded.model, Decoder):
        raise InputError(f'engine = "local" cannot run {loaded.model.config.family}; set engine = "transformers"')
    tokenizer = cast(Tokenizer, loaded.tokenizer)
    return LocalEngine(
        loaded.model, tokenizer, dtype=dtype, device=loaded.device, max_rows=max_rows, end_ids=loaded.stop_ids,
        weights=loaded.weights, draft=(settings or Local()).draft, replay=(settings or Local()).replay,
    )  # fmt: skip


def open_transformers(loaded: LoadedModel, *, dtype: torch.dtype, max_rows: int) -> Engine:
    """`transformers` step by step, for every other architecture."""
    if not isinstance(loaded.model, HubModel):
        raise InputError(
            f'engine = "transformers" is for what the local engine cannot run; {loaded.model.config.family} is not '
            f'among it: set engine = "local"'
        )
    tokenizer = cast(Tokenizer, loaded.tokenizer)
    model = cast(HubModel, loaded.whole())
    return HubEngine(model, tokenizer, dtype=dtype, device=loaded.device, max_rows=max_rows, end_ids=loaded.stop_ids)
