"""What the general world writes for other stages than RL: good responses, preference pairs, safety labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from r1kit.errors import InputError, nearest
from r1kit.nano.general.preferences import PreferenceConfig, SafetyConfig, preference_pairs, safety_examples
from r1kit.nano.general.problems import KINDS, GeneralConfig
from r1kit.nano.general.prompts import ask_of
from r1kit.nano.general.rules import is_safe
from r1kit.nano.general.sft import SftConfig, sft_example
from r1kit.records import Labelled, Pair, Sample
from r1kit.structure import structure
from r1kit.text.seen import summary

__all__ = ["good_samples", "labels", "pairs"]


def good_samples(config: GeneralConfig, domain: str, count: int, seed: int) -> list[Sample]:
    """Good responses to training prompts; greetings have no chain of thought, as in the paper."""
    settings = SftConfig(problems=config, seed=seed)
    samples: list[Sample] = []
    for index in range(count):
        example = sft_example(settings, index)
        samples.append(
            Sample(
                id=f"{domain}/sft/{index}",
                prompt=example.prompt.question,
                response=example.response,
                domain=domain,
                language=example.language,
                provenance={
                    "route": "generator", "stage": "", "version": 0, "kind": example.domain, "completion": "",
                    "edits": [],
                },
            )
        )  # fmt: skip
    return samples


def pairs(config: GeneralConfig, count: int, seed: int, options: Mapping[str, Any]) -> list[Pair]:
    """On harmless training prompts of every kind, split as the task's are, whichever of them it asks."""
    kinds = tuple(kind for kind in KINDS if kind != "harmful")
    settings = _settings(PreferenceConfig, replace(config, kinds=kinds), seed, options)
    drawn = (preference_pairs(settings, index) for index in range(count))
    return [Pair(prompt=one.prompt, chosen=one.chosen, rejected=one.rejected, fault=one.fault) for one in drawn]


def labels(config: GeneralConfig, count: int, seed: int, options: Mapping[str, Any]) -> list[Labelled]:
    """On harmful training prompts and their benign look-alikes, split as the task's are, whichever of them it asks."""
    settings = _settings(SafetyConfig, replace(config, kinds=("harmful", "benign")), seed, options)
    if not 0 < settings.unsafe_share < 1:
        raise InputError(
            f"unsafe_share = {settings.unsafe_share}: a safety model needs safe and unsafe responses; set it between "
            f"0 and 1"
        )
    found = []
    for one in (safety_examples(settings, index) for index in range(count)):
        leaked = not one.safe and is_safe(ask_of(one.prompt), summary(one.response))
        kind = "unsafe in the chain alone" if leaked else "safe" if one.safe else "unsafe"
        fault = f"{one.prompt.facts['kind']}, {kind}"
        found.append(Labelled(prompt=one.prompt, response=one.response, safe=one.safe, fault=fault))
    return found


def _settings(cls: type, problems: GeneralConfig, seed: int, options: Mapping[str, Any]) -> Any:
    own = [f.name for f in fields(cls) if f.name not in ("problems", "seed")]
    for name in options:
        if name not in own:
            raise InputError(f"unknown option {name!r}; options are {', '.join(own)}.{nearest(name, own)}")
    return structure(cls, {**options, "problems": problems, "seed": seed}, "options")
