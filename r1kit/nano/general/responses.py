"""Whole responses: a chain of thought in tags, then the reply; a greeting gets an empty chain."""

from __future__ import annotations

from r1kit.nano.general.phrases import chain
from r1kit.nano.general.problems import Ask
from r1kit.nano.general.words import Language

__all__ = ["respond", "wrapped"]


def wrapped(thinking: str, reply: str) -> str:
    """``<think> ... </think> <answer> ... </answer>``."""
    return " ".join(f"<think> {thinking} </think> <answer> {reply} </answer>".split())


def respond(ask: Ask, language: Language, reply: str, fault: str = "", *, long: bool = True) -> str:
    """The reply after the chain that leads to it: who complies has judged the question safe, who refuses harmful."""
    judged_safe = fault == "complies" or (ask.kind != "harmful" and fault != "refuses")
    return wrapped(chain(ask, language, judged_safe, long, recalls=fault != "wrong"), reply)
