"""How many weights an adapter has, from the model's shape. No torch."""

from __future__ import annotations

from r1kit.plan.shape import Shape
from r1kit.update.settings import LoRA

__all__ = ["adapter_parameters"]


def adapter_parameters(lora: LoRA, shape: Shape) -> int:
    """``rank (out + in)`` of every chosen matrix; routers and experts have none."""
    return sum(
        layers * lora.rank * (rows + columns)
        for name, layers, rows, columns in _linears(shape)
        if not lora.targets or any(target.rpartition(".")[2] == name for target in lora.targets)
    )


def _linears(shape: Shape) -> list[tuple[str, int, int, int]]:
    """End of the hub name, layers that have it, out, in."""
    d, H, K, D, L = shape.hidden, shape.heads, shape.kv_heads, shape.head_dim, shape.layers
    if (of := shape.latent) is None:
        found = [("q_proj", L, H * D, d), ("k_proj", L, K * D, d), ("v_proj", L, K * D, d), ("o_proj", L, d, H * D)]
    else:
        asked = H * (D + of.rotary)
        found = (
            [("q_a_proj", L, of.query, d), ("q_b_proj", L, asked, of.query)] if of.query else [("q_proj", L, asked, d)]
        )
        found += [
            ("kv_a_proj_with_mqa", L, of.kept + of.rotary, d),
            ("kv_b_proj", L, H * (D + of.value), of.kept),
            ("o_proj", L, d, H * of.value),
        ]
    mixed = shape.experts
    widths = [(mixed.dense_layers if mixed else L, shape.ffn)]
    if mixed and mixed.shared:
        widths.append((L - mixed.dense_layers, mixed.shared))
    for layers, width in widths:
        found += [("gate_proj", layers, width, d)] if shape.gated else []
        found += [("up_proj", layers, width, d), ("down_proj", layers, d, width)]
    return found
