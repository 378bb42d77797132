"""What vLLM loads by the entry point ``vllm.general_plugins``: our way of handing weights to its workers.

The entry point exists where r1kit is installed, in the environment of the vLLM server too; ``register`` may also be
called, as the engine in process does. Nothing of vLLM is imported before that.
"""

from __future__ import annotations

__all__ = ["BACKEND", "register"]

BACKEND = "r1kit"
"""Of ``--weight-transfer-config '{"backend": "r1kit"}'``."""


def register() -> None:
    """Make the backend known to vLLM, in every process that calls it; as often as one likes."""
    from vllm.distributed.weight_transfer.factory import WeightTransferEngineFactory

    try:
        WeightTransferEngineFactory.register_engine(BACKEND, "r1kit.vllm.transfer", "Receiver")
    except ValueError as error:
        if "already registered" not in str(error):
            raise
