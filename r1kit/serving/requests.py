"""What a request asks for, as OpenAI's two addresses write it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from r1kit.errors import InputError, nearest
from r1kit.records import Message, Sampling
from r1kit.serving.errors import ApiError, unknown_model
from r1kit.serving.reading import Fields, read_body
from r1kit.serving.served import Rendered, Served
from r1kit.serving.writing import Tags, Writer

__all__ = ["CHAT", "COMPLETION", "Asked", "read_chat", "read_completion"]

_COMMON = (
    "model", "max_tokens", "temperature", "top_p", "n", "stop", "seed", "stream", "stream_options", "logprobs",
)  # fmt: skip
COMPLETION = (*_COMMON, "prompt", "echo")
"""Parameters of ``/v1/completions``."""
CHAT = (*_COMMON, "messages", "max_completion_tokens", "top_logprobs", "chat_template_kwargs")
"""Parameters of ``/v1/chat/completions``."""
_MOST_CHOICES, _MOST_STOPS, _MOST_TOP, _MOST_MESSAGES = 128, 16, 20, 2000
_LONGEST_ARGUMENT = 200
_RENDERERS = frozenset({
    "self", "conversation", "messages", "tools", "documents", "chat_template", "add_generation_prompt",
    "continue_final_message", "tokenize", "padding", "truncation", "max_length", "return_tensors", "return_dict",
    "return_assistant_tokens_mask", "tokenizer_kwargs",
})  # fmt: skip
"""What ``transformers``' ``apply_chat_template`` takes for itself and does not hand to the template."""
_DEFAULT_COMPLETION = 16
"""OpenAI's, where ``/v1/completions`` names no length."""

Kind = Literal["chat", "completion"]
WriterOf = Callable[[Sequence[int]], Writer]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request that can be answered."""

    kind: Kind
    served: Served
    prompts: tuple[tuple[int, ...], ...]
    sampling: Sampling
    """Of each prompt; stop strings are the writers'."""
    seed: int
    writer: WriterOf
    """Prompt -> writer of one of its completions."""
    stream: bool
    usage: bool
    """A last chunk of the stream tells the usage."""
    top: int | None
    """Likeliest tokens told with each; None: no log-probs."""
    stops: bool
    """A string may end a completion."""
    echo: bool = False
    """The prompt is part of the text."""


def read_chat(body: bytes, models: dict[str, Served]) -> Asked:
    """A body of ``/v1/chat/completions``.

    Raises:
        ApiError: what is wrong with it; so do all below.
    """
    fields = read_body(body, CHAT)
    served = _model(fields, models)
    stop = fields.strings("stop", _MOST_STOPS)
    prompt = _rendered(fields, served)
    longest = [fields.integer(name, 1, 1 << 30) for name in ("max_completion_tokens", "max_tokens")]
    if None not in longest and longest[0] != longest[1]:
        raise ApiError("max_tokens and max_completion_tokens differ; give one of them", param="max_completion_tokens")
    wanted = longest[0] or longest[1]
    room = served.speech.room(prompt.ids)
    if not wanted and not room:
        raise _too_long(served, prompt.ids, 1, "messages")
    top = fields.integer("top_logprobs", 0, _MOST_TOP)
    if top is not None and not fields.flag("logprobs"):
        raise ApiError("top_logprobs needs logprobs = true", param="top_logprobs", code="invalid_value")
    return _asked(
        fields, served, [prompt.ids], wanted or room, kind="chat", param="messages",
        writer=lambda _: served.speech.writer(prompt, stop), stops=bool(stop or served.speech.sampling.stop),
        top=(top or 0) if fields.flag("logprobs") else None,
    )  # fmt: skip


def read_completion(body: bytes, models: dict[str, Served]) -> Asked:
    """A body of ``/v1/completions``."""
    fields = read_body(body, COMPLETION)
    served = _model(fields, models)
    stop = fields.strings("stop", _MOST_STOPS)
    echo = fields.flag("echo")
    longest = fields.integer("max_tokens", 0 if echo else 1, 1 << 30)
    top = None if fields.any("logprobs") is False else fields.integer("logprobs", 0, _MOST_TOP)
    return _asked(
        fields, served, _prompts(fields, served), _DEFAULT_COMPLETION if longest is None else longest,
        kind="completion", param="prompt", writer=lambda ids: served.speech.continued(ids, stop), stops=bool(stop),
        top=top, echo=echo,
    )  # fmt: skip


def _asked(
    fields: Fields, served: Served, prompts: Sequence[Sequence[int]], longest: int, *,
    kind: Kind, param: str, writer: WriterOf, stops: bool, top: int | None, echo: bool = False,
) -> Asked:  # fmt: skip
    """What both addresses have alike."""
    n = fields.integer("n", 1, _MOST_CHOICES) or 1
    most = served.batcher.most
    if n * len(prompts) > most:
        raise ApiError(
            f"{n * len(prompts)} completions are asked for at once, and at most {most} are let in; send fewer",
            param="n" if n > 1 else param, code="invalid_value",
        )  # fmt: skip
    for prompt in prompts:
        if len(prompt) + longest > served.speech.positions:
            raise _too_long(served, prompt, longest, param)
    seed = fields.integer("seed", -(1 << 63), (1 << 63) - 1)
    stream = fields.flag("stream")
    return Asked(
        kind=kind, served=served, prompts=tuple(map(tuple, prompts)),
        seed=secrets.randbits(62) if seed is None else seed,
        sampling=Sampling(
            n=n, max_tokens=longest, temperature=fields.number("temperature", 0.0, 2.0, served.temperature),
            top_p=fields.number("top_p", 0.0, 1.0, served.top_p),
        ),
        writer=writer, stops=stops, stream=stream, usage=_usage(fields, stream), top=top, echo=echo,
    )  # fmt: skip


def _model(fields: Fields, models: dict[str, Served]) -> Served:
    name = fields.text("model")
    if name not in models:
        raise unknown_model(name[:200], [*models])
    return models[name]


def _usage(fields: Fields, stream: bool) -> bool:
    options = fields.any("stream_options")
    if options is None:
        return False
    if not isinstance(options, dict) or not stream:
        raise ApiError("stream_options is an object, and for stream = true alone", param="stream_options")
    for name in options:
        if name not in ("include_usage", "include_obfuscation"):
            place = f"stream_options.{name[:100]}"
            raise ApiError(
                f"unknown parameter {place!r}; there is include_usage", param=place, code="unknown_parameter"
            )
    return Fields(options, "stream_options.").flag("include_usage")


def _too_long(served: Served, prompt: Sequence[int], longest: int, param: str) -> ApiError:
    return ApiError(
        f"the model's context is {served.speech.positions} tokens; the prompt has {len(prompt)}, and the answer may "
        f"have {longest}: shorten the prompt or lower max_tokens",
        param=param, code="context_length_exceeded",
    )  # fmt: skip


# ---- prompts ---------------------------------------------------------------------------------------------------------


def _prompts(fields: Fields, served: Served) -> list[list[int]]:
    """A text, a list of texts, token ids, or a list of lists of them."""
    value = fields.any("prompt")
    several = isinstance(value, list) and not all(_is_id(one) for one in value)
    found: list[Any] = value if several else [value]
    wanted = f"a text, token ids, or up to {served.batcher.most} of either in a list"
    if value is None:
        raise fields.missing("prompt", wanted)
    if value == [] or len(found) > served.batcher.most:
        raise fields.wrong("prompt", wanted)
    return [_prompt(fields, one, served) for one in found]


def _is_id(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _prompt(fields: Fields, value: Any, served: Served) -> list[int]:
    if isinstance(value, str):
        text = Fields({"prompt": value}).text("prompt", empty=True)
        ids = list(served.speech.tokenizer.encode(text))
        if not ids:
            raise ApiError("prompt holds no token; this model needs one to begin with", param="prompt")
        return ids
    if not isinstance(value, list) or not value or not all(_is_id(one) for one in value):
        raise fields.wrong("prompt", "a text, token ids, or a list of either")
    if wrong := [one for one in value if not 0 <= one < served.speech.vocab_size]:
        raise ApiError(
            f"prompt: token {wrong[0]} is none of the model's; they are 0 to {served.speech.vocab_size - 1}",
            param="prompt", code="invalid_value",
        )  # fmt: skip
    return value


def _rendered(fields: Fields, served: Served) -> Rendered:
    """The chat, by the model's template."""
    found = fields.any("messages")
    wanted = f"a list of 1 to {_MOST_MESSAGES} messages"
    if found is None:
        raise fields.missing("messages", wanted)
    if not isinstance(found, list) or not 0 < len(found) <= _MOST_MESSAGES:
        raise fields.wrong("messages", wanted)
    tags = served.speech.tags or Tags()
    messages = [_message(one, f"messages[{place}]", tags) for place, one in enumerate(found)]
    if messages[-1].role != "user":
        raise ApiError("the last message must be the user's", param="messages", code="invalid_value")
    arguments = _template_arguments(fields, served)
    try:
        return served.speech.render(messages, arguments)
    except InputError as error:
        raise ApiError(str(error), param="messages", code="invalid_value") from None


def _template_arguments(fields: Fields, served: Served) -> dict[str, Any] | None:
    """What the model's chat template is told. Never a template: that is a program, and a client's would run here."""
    found = fields.any("chat_template_kwargs")
    if found is None:
        return None
    if not isinstance(found, dict):
        raise fields.wrong("chat_template_kwargs", "an object")
    inner = Fields(found, "chat_template_kwargs.")
    for name, value in found.items():
        if name in _RENDERERS:
            place = f"chat_template_kwargs.{name}"
            raise ApiError(f"{place} is the server's to say; leave it out", param=place, code="unsupported_parameter")
        if not (isinstance(value, (bool, int, float)) or (isinstance(value, str) and len(value) <= _LONGEST_ARGUMENT)):
            raise inner.wrong(name, f"true, false, a number or a text of up to {_LONGEST_ARGUMENT} characters")
    reads = served.speech.reads(found)
    for name in found:
        if name not in reads:
            known = f"those that it does: {', '.join(reads)}" if reads else "leave it out"
            place = f"chat_template_kwargs.{name[:100]}"
            raise ApiError(
                f"{place}: the model's template never looks at it; {known}.{nearest(name[:100], reads)}",
                param=place, code="unsupported_parameter",
            )  # fmt: skip
    return found


def _message(value: Any, where: str, tags: Tags) -> Message:
    """``tags``: what stands around thinking that is told apart."""
    if not isinstance(value, dict):
        raise ApiError(f"{where} must be an object with role and content", param=where, code="invalid_type")
    for name, held in value.items():
        if name not in ("role", "content", "name", "reasoning_content") and held not in (None, [], {}):
            raise ApiError(f"{where}.{name[:100]} is not supported here", param=f"{where}.{name[:100]}")
    fields = Fields({name: held for name, held in value.items() if held is not None}, f"{where}.")
    roles: dict[str, Literal["system", "user", "assistant"]] = {
        "system": "system", "developer": "system", "user": "user", "assistant": "assistant",
    }  # fmt: skip
    role = fields.text("role")
    if role not in roles:
        raise fields.wrong("role", f"one of {', '.join(roles)}")
    message = Message(role=roles[role], content=_content(fields, where))
    if role == "assistant" and (thought := fields.any("reasoning_content")):
        if not isinstance(thought, str):
            raise fields.wrong("reasoning_content", "a string")
        return replace(message, content=f"{tags.open}\n{thought.strip()}\n{tags.close}\n\n{message.content}")
    return message


def _content(fields: Fields, where: str) -> str:
    """A text, or a list of texts in parts."""
    value = fields.any("content")
    if not isinstance(value, list):
        return fields.text("content", empty=True)
    texts = []
    for part in value:
        if not isinstance(part, dict) or part.get("type") != "text" or not isinstance(part.get("text"), str):
            raise ApiError(
                f"{where}.content: parts must be {{'type': 'text', 'text': ...}}; models here read text alone",
                param=f"{where}.content", code="unsupported_content",
            )  # fmt: skip
        texts.append(Fields({"text": part["text"]}, f"{where}.content.").text("text", empty=True))
    return "".join(texts)
