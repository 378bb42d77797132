"""What must be known of a `transformers` model: its body, its buffers' dtypes, and what it does to its logits."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from r1kit.errors import InputError, first_line
from r1kit.model.finish import Finish

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["agree", "body_of", "buffer_dtypes", "find_finish", "stored_buffers"]

SCALES = ("logit_scale", "logits_scaling", "lm_head_multiplier", "output_multiplier")
"""Keys of a config whose number multiplies or divides the logits; which of both is a family's own matter."""
CAPS = ("final_logit_softcapping", "softcap")
LARGEST = 100.0
"""Of the head's products in the trial: beyond any cap in use."""


def body_of(model: PreTrainedModel) -> nn.Module:
    """The part that gives hidden states.

    Raises:
        InputError: there is none.
    """
    body = model.base_model if model.base_model is not model else getattr(model, "model", None)
    if not isinstance(body, nn.Module):
        raise InputError(f"{model.config.model_type} does not give its hidden states, which is not supported")
    return body


def buffer_dtypes(model: PreTrainedModel, dtype: torch.dtype) -> dict[str, torch.dtype]:
    """The dtype of each floating-point buffer where the model is opened in ``dtype``."""
    with torch.device("meta"):
        same = type(model)._from_config(copy.deepcopy(model.config), dtype=dtype)
    exact = {*(model._keep_in_fp32_modules or ()), *(model._keep_in_fp32_modules_strict or ())}
    return {
        name: torch.float32 if exact & set(name.split(".")) else buffer.dtype
        for name, buffer in same.named_buffers()
        if buffer.is_floating_point()
    }


def stored_buffers(model: nn.Module) -> dict[str, Tensor]:
    """Buffers that a checkpoint holds beside the weights: the bias by which GLM-4.5 chooses experts, say."""
    return {
        f"{path}.{name}" if path else name: buffer
        for path, module in model.named_modules()
        for name, buffer in module._buffers.items()
        if buffer is not None and name not in module._non_persistent_buffers_set
    }


@torch.no_grad()
def find_finish(model: PreTrainedModel) -> Finish:
    """The scale and the cap of its config under which our logits are the model's.

    Raises:
        InputError: none is: the model does something else to its logits.
    """
    head: Any = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    weight = head.weight
    states = torch.randn(8, weight.shape[1], generator=torch.Generator().manual_seed(0)).to(weight.device, weight.dtype)
    states *= LARGEST / F.linear(states, weight).abs().max().clamp_min(1e-6)
    try:
        wanted = _logits_of(model, head, states)
    except (RuntimeError, ValueError, TypeError, AttributeError) as error:
        raise InputError(f"transformers cannot run this {model.config.model_type}: {first_line(error)}") from error
    products = F.linear(states, weight, head.bias)
    best = min(_candidates(model), key=lambda one: float((one(products) - wanted).float().abs().max()))
    if not agree(best(products), wanted, weight.dtype):
        raise InputError(f"{model.config.model_type} does more to its logits than scale, cap or shift them")
    return best


def agree(given: Tensor, wanted: Tensor, dtype: torch.dtype, rough: float = 5e-2) -> bool:
    """Whether logits that were computed in ``dtype`` are the same but for rounding; ``rough``: in half precision."""
    tolerance = 1e-4 if dtype == torch.float32 else rough
    return bool((given - wanted).float().abs().max() <= tolerance * wanted.float().abs().max())


def _candidates(model: PreTrainedModel) -> Iterator[Finish]:
    """Every finish that the numbers of a config allow; the plainest first."""
    settings = model.config.get_text_config().to_dict()
    numbers = [settings.get(key) for key in SCALES]
    scales = [1.0, *(scale for x in numbers if isinstance(x, int | float) and x for scale in (float(x), 1.0 / x))]
    caps = [0.0, *(float(settings[key]) for key in CAPS if isinstance(settings.get(key), int | float))]
    for cap in dict.fromkeys(caps):
        yield from (Finish(scale=scale, cap=cap) for scale in dict.fromkeys(scales))


def _logits_of(model: PreTrainedModel, head: nn.Module, states: Tensor) -> Tensor:
    """Logits [T, V] that the model's own forward makes of hidden states [T, d] put in place of its body's.

    A model that goes past its body's outermost module (OPT) is given them at the head.
    """
    replaced = False

    def after_body(module: Any, given: Any, output: Any) -> Any:
        nonlocal replaced
        output.last_hidden_state, replaced = states[None], True
        return output

    def before_head(module: Any, given: Any) -> Any:
        return None if replaced else (states[None],)

    hooks = (body_of(model).register_forward_hook(after_body), head.register_forward_pre_hook(before_head))
    try:
        tokens = torch.ones(1, len(states), dtype=torch.int64, device=states.device)
        logits: Tensor = model(input_ids=tokens, use_cache=False).logits[0]
    finally:
        for hook in hooks:
            hook.remove()
    return logits
