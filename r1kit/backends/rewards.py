"""Reward models on this rank's device: opened to score, created to be trained."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from r1kit.checkpoint.source import resolve_model
from r1kit.model.reward_model import Outlook, RewardModel
from r1kit.reward.learned import LearnedReward, check_routes

__all__ = ["create_reward_model", "open_learned", "open_reward_model"]


def create_reward_model(
    name: str, outlook: Outlook, device: torch.device, products: torch.dtype = torch.float32
) -> RewardModel:
    """An untrained reward model over the body of a language model, by the name a user writes."""
    model = RewardModel.create(resolve_model(name), outlook)
    model.model.to(device)
    model.products = products
    return model


def open_reward_model(
    folder: Path, device: torch.device | str = "cpu", products: torch.dtype = torch.float32
) -> RewardModel:
    """What ``RewardModel.save`` wrote."""
    model = RewardModel.open(folder)
    model.model.to(device)
    model.products = products
    return model


def open_learned(
    folders: Mapping[str, Path],
    routes: Mapping[str, str],
    device: torch.device | str = "cpu",
    products: torch.dtype = torch.float32,
) -> LearnedReward:
    """The reward models that the routes need, from the folders by kind of all that were trained.

    Raises:
        InputError: a kind has no folder, or its folder is no reward model.
    """
    check_routes(routes, folders)
    models = {kind: open_reward_model(folders[kind], device, products) for kind in dict.fromkeys(routes.values())}
    return LearnedReward(models, routes)
