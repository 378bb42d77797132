"""Devices that ``r1 plan`` knows."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DEVICES", "Device"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """Makers' numbers for dense matrices, without sparsity."""

    bf16: float
    """Operations a second."""
    fp32: float
    bandwidth: float
    """Bytes a second."""
    memory: float
    """Bytes; 0: shared by all (cores)."""
    price: float
    """USD an hour, a rough rental price; H800: the one the paper reckons with."""


def _gpu(bf16: float, fp32: float, gigabytes: float, bandwidth: float, price: float) -> Device:
    return Device(bf16=bf16 * 1e12, fp32=fp32 * 1e12, bandwidth=bandwidth * 1e12, memory=gigabytes * 1e9, price=price)


DEVICES = {
    "cpu": Device(bf16=380e9, fp32=85e9, bandwidth=30e9, memory=0, price=0),
    "l4": _gpu(121, 30, 24, 0.30, 0.6),
    "rtx4090": _gpu(165, 83, 24, 1.01, 0.4),
    "l40s": _gpu(362, 92, 48, 0.86, 1.0),
    "a100": _gpu(312, 19.5, 80, 2.04, 1.6),
    "h800": _gpu(989, 67, 80, 3.35, 2.0),
    "h100": _gpu(989, 67, 80, 3.35, 2.5),
    "h200": _gpu(989, 67, 141, 4.8, 3.5),
    "b200": _gpu(2250, 75, 180, 8.0, 5.0),
}
"""``cpu`` is one server core with bf16 matrix units, measured; the others are as their makers say."""
