"""Llama: no biases, no norm on queries and keys."""

from __future__ import annotations

from dataclasses import dataclass

from r1kit.model.families.dense import DenseFamily, DenseShape

__all__ = ["FAMILY", "LlamaShape"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LlamaShape(DenseShape):
    """A fresh model of this family, as ``[model]`` describes it."""


FAMILY = DenseFamily(name="llama", architecture="LlamaForCausalLM", shape=LlamaShape)
