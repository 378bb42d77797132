"""What r1kit adds to a worker of a vLLM server, asked for by ``POST /collective_rpc``. Only vLLM imports this file."""

from __future__ import annotations

import json
from typing import Any

import torch
import vllm
from vllm.platforms import current_platform

__all__ = ["Extension"]


class Extension:
    """Of ``--worker-extension-cls``: vLLM makes it a base class of its worker."""

    def r1kit_describe(self: Any) -> dict[str, Any]:
        """What it serves, and how: see ``served.Served``."""
        config = self.vllm_config
        model, transfer = config.model_config, config.weight_transfer_config
        found = {
            "version": vllm.__version__,
            "config": model.hf_config.to_dict(),
            "dtype": str(model.dtype).removeprefix("torch."),
            "positions": model.max_model_len,
            "logprobs_mode": model.logprobs_mode,
            "backend": transfer.backend if transfer else "",
            "max_rows": config.scheduler_config.max_num_seqs,
            "device": current_platform.device_type,
            "experts_apart": config.parallel_config.enable_expert_parallel,
            "experts_move": config.parallel_config.enable_eplb,
        }
        return dict(json.loads(json.dumps(found, default=str)))

    def r1kit_compute(self: Any) -> str:
        """A small product on the worker's device, between two steps of the engine: a worker that hangs has none."""
        return str(torch.ones(8, 8, device=self.device).matmul(torch.ones(8, 8, device=self.device)).sum().item())
