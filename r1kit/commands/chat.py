"""``r1 chat``: talk to a model in the terminal; its thinking is dimmed, or folded to a line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.text import Text

    from r1kit.commands.arguments import Subject
    from r1kit.records import Completion
    from r1kit.serving.writing import Tags

__all__ = ["chat", "shown"]


def chat(
    model: Annotated[str, typer.Argument(help="DIR:STAGE, a model folder, a hub name, a GGUF file or pypi:PACKAGE.")],
    once: Annotated[str | None, typer.Option(metavar="TEXT", help="Answer this one question and end.")] = None,
    temperature: Annotated[float, typer.Option(min=0.0, max=2.0)] = 0.6,
    top_p: Annotated[float, typer.Option(min=0.0, max=1.0)] = 0.95,
    max_tokens: Annotated[
        int, typer.Option(min=0, help="Longest answer; 0: the stage's own, else 1024 or what fits.")
    ] = 0,
    template: Annotated[str, typer.Option(help="chat, plain, r1_zero or a text with {question}.")] = "",
    seed: Annotated[int, typer.Option(help="Of the sampling.")] = 0,
    system: Annotated[str, typer.Option(help="System prompt.")] = "",
    thinking: Annotated[str, typer.Option(help="The tags around thinking, or none.")] = "<think> </think>",
) -> None:
    """Talk to a model. /help says what can be changed on the way; an empty line or Ctrl-D ends."""
    from r1kit.checkpoint.source import check_model
    from r1kit.commands.arguments import open_subject
    from r1kit.errors import InputError
    from r1kit.files import check_text
    from r1kit.records import Sampling
    from r1kit.serving.opening import open_speech, tags_of, use_cores
    from r1kit.serving.talk import Talk
    from r1kit.serving.terminal import Terminal
    from r1kit.web.plain import visible

    if once is not None and not once.strip():
        raise InputError("--once is empty; give a question, or leave it out to talk")
    for name, text in {"--once": once or "", "--system": system}.items():
        check_text(text, name)
    subject, tags = open_subject(model, template=template), tags_of(thinking)
    check_model(model)
    if once:
        _answer_once(_told(subject, system), once, temperature, top_p, max_tokens, seed, tags)
        return
    use_cores()
    engine, speech = open_speech(model, subject.recipe, subject.sampling, rows=1, dtype="auto", tags=tags)
    sampling = Sampling(n=1, temperature=temperature, top_p=top_p, max_tokens=max_tokens)
    turns = not (speech.alone or speech.one_question)
    talk = Talk(engine=engine, speech=speech, sampling=sampling, seed=seed, system=system, turns=turns)
    Terminal(talk, model, visible=visible).run()


def _told(subject: Subject, system: str) -> Subject:
    """With a system prompt, where there is one."""
    from dataclasses import replace

    if not system:
        return subject
    model = subject.recipe.model
    told = replace(model, template=replace(model.template, system=system))
    return replace(subject, recipe=replace(subject.recipe, model=told))


def _answer_once(
    subject: Subject, question: str, temperature: float, top_p: float, max_tokens: int, seed: int, tags: Tags | None
) -> None:  # fmt: skip
    """One question by a closed call of the engine."""
    from dataclasses import replace

    from rich.console import Console

    from r1kit.commands.arguments import longest_completion, open_model
    from r1kit.rollout.streams import stream_seed
    from r1kit.serving.opening import own_tags
    from r1kit.text.light_tokenizer import read_tokenizer

    opened = open_model(subject, rows=1)
    sampling = replace(subject.sampling, n=1, temperature=temperature, top_p=top_p)
    prompt = opened.encode(question)
    longest = max_tokens or longest_completion(sampling, opened.positions, [prompt])
    drawn = opened.engine.generate([prompt], replace(sampling, max_tokens=longest), [stream_seed(seed, "chat", 0)])
    tags = own_tags(tags, read_tokenizer(opened.folder), subject.recipe.model.template)
    Console(highlight=False, soft_wrap=True).print(shown(drawn[0][0], tags.close if tags else ""))


def shown(completion: Completion, close: str = "</think>") -> Text:
    """The completion with its thinking dimmed: all up to ``close``; empty: nothing is."""
    from rich.text import Text

    from r1kit.web.plain import visible

    text = visible(completion.text)
    thought, mark, said = text.rpartition(close) if close else ("", "", text)
    found = Text(thought + mark, style="dim")
    found.append(said, style="not dim")
    if completion.finish == "length":
        found.append(f"\n[cut at {len(completion.token_ids)} tokens]", style="dim italic")
    return found
