"""A prompt as vLLM's ``/inference/v1/generate`` is asked for it, and its answer as completions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from r1kit.records import Completion, Sampling
from r1kit.rollout.replica import ReplicaLost
from r1kit.rollout.stopping import Stopping, Tokenizer, completion_of

__all__ = ["Span", "completions_of", "question"]

Span = tuple[str, int]
"""(label of the weights, tokens that they wrote)."""


def question(prompt: Sequence[int], sampling: Sampling, seed: int, ends: Sequence[int], salt: str) -> dict[str, Any]:
    """The body of the request. Row ``i`` draws from the seed + i.

    Args:
        seed: 63-bit.
        ends: tokens that end a completion; vLLM's own list of them is not heeded.
        salt: blocks of keys and values that were cached under another one do not serve.
    """
    return {
        "token_ids": list(prompt),
        "cache_salt": salt,
        "return_token_ids": True,
        "sampling_params": {
            "n": sampling.n,
            "seed": seed % (2**63 - sampling.n),
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "top_k": 0,
            "min_p": 0.0,
            "max_tokens": sampling.max_tokens,
            "stop": list(sampling.stop),
            "include_stop_str_in_output": True,
            "skip_special_tokens": False,
            "spaces_between_special_tokens": False,
            "stop_token_ids": list(ends),
            "ignore_eos": True,
            "logprobs": 0,
            "detokenize": bool(sampling.stop),
        },
    }


def completions_of(
    answer: Any, prompt: Sequence[int], sampling: Sampling, stopping: Stopping, tokenizer: Tokenizer, vocab_size: int
) -> list[tuple[Completion, list[Span]]]:
    """What was drawn, row by row, with the labels of the weights that drew it, none where the server does not say.

    Raises:
        ReplicaLost: it is not what was asked for. Nothing is guessed: half an answer would be a biased one.
    """
    try:
        if list(answer["prompt_token_ids"]) != list(prompt):
            raise ReplicaLost("its answer is to another prompt")
        choices = {int(choice["index"]): choice for choice in answer["choices"]}
        if sorted(choices) != list(range(sampling.n)) or len(answer["choices"]) != sampling.n:
            raise ReplicaLost(f"it was asked for {sampling.n} completions and gave {len(answer['choices'])}")
        return [_row(choices[index], sampling, stopping, tokenizer, vocab_size) for index in range(sampling.n)]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ReplicaLost(f"its answer is not one of vLLM's: {type(error).__name__} {error}") from None


def _row(
    choice: Mapping[str, Any], sampling: Sampling, stopping: Stopping, tokenizer: Tokenizer, vocab_size: int
) -> tuple[Completion, list[Span]]:
    tokens, logprobs = _tokens(choice, sampling, vocab_size)
    why = choice["finish_reason"]
    if why not in ("stop", "length"):
        raise ReplicaLost(f"it ended a completion by {why!r}")
    end = stopping.length(tokens, 0)
    if end is None and choice["stop_reason"] not in sampling.stop:
        raise ReplicaLost(f"it ended a completion after {len(tokens)} tokens where nothing ends it")
    tokens, logprobs = tokens[:end], logprobs[:end]
    completion = completion_of(tokenizer, stopping, tokens, logprobs, 0)
    return (completion if end else replace(completion, finish="stop")), _spans(choice, len(tokens))


def _tokens(choice: Mapping[str, Any], sampling: Sampling, vocab_size: int) -> tuple[list[int], list[float]]:
    tokens = [int(token) for token in choice["token_ids"]]
    scored = choice["logprobs"]["content"]
    if not 0 < len(tokens) <= sampling.max_tokens:
        raise ReplicaLost(f"it gave {len(tokens)} tokens of a completion of at most {sampling.max_tokens}")
    if not 0 <= min(tokens) <= max(tokens) < vocab_size:
        raise ReplicaLost(f"it drew token {max(tokens)}, of a model of {vocab_size} tokens")
    if [int(each["token_id"]) for each in scored] != tokens:
        raise ReplicaLost("its log-probs are those of other tokens than it drew")
    logprobs = [float(each["logprob"]) for each in scored]
    if sampling.temperature == 0:  # a distribution of one token
        logprobs = [0.0] * len(tokens)
    if not all(math.isfinite(logprob) and -9999 < logprob < 1e-3 for logprob in logprobs):  # -9999: vLLM's NaN
        raise ReplicaLost(f"it gives a log-prob of {min(logprobs)}: the weights may not be finite")
    return tokens, logprobs


def _spans(choice: Mapping[str, Any], tokens: int) -> list[Span]:
    told = choice.get("weight_versions") or []
    spans = [(str(each["version"]), min(int(each["end"]), tokens) - int(each["start"])) for each in told]
    return [span for span in spans if span[1] > 0]
