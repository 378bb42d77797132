"""``r1 chat``: ask a model; its thinking is dimmed. Each question stands alone, as in training."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.text import Text

    from r1kit.commands.arguments import Subject
    from r1kit.records import Completion

__all__ = ["chat", "shown"]


def chat(
    model: Annotated[str, typer.Argument(help="DIR:STAGE, a model folder, a hub name, a GGUF file or pypi:PACKAGE.")],
    once: Annotated[str, typer.Option(metavar="TEXT", help="Answer this one question and end.")] = "",
    temperature: Annotated[float, typer.Option(min=0.0)] = 0.6,
    top_p: Annotated[float, typer.Option(min=0.0, max=1.0)] = 0.95,
    max_tokens: Annotated[
        int, typer.Option(min=0, help="Longest answer; 0: the stage's own, else 1024 or what fits.")
    ] = 0,
    template: Annotated[str, typer.Option(help="chat, plain, r1_zero or a text with {question}.")] = "",
    seed: Annotated[int, typer.Option(help="Of the sampling.")] = 0,
) -> None:
    """Talk to a model. It sees one question at a time; an empty line or Ctrl-D ends."""
    from rich.console import Console

    from r1kit.checkpoint.source import check_model
    from r1kit.commands.arguments import open_subject

    subject = open_subject(model, template=template)
    check_model(model)
    answer = _answerer(subject, temperature, top_p, max_tokens, seed)
    console = Console(highlight=False, soft_wrap=True)
    if once:
        console.print(shown(answer(once)))
        return
    console.print(f"{model}: ask; an empty line ends.", style="dim", markup=False)
    while question := _asked():
        console.print(shown(answer(question)))


def _asked() -> str:
    try:
        return input("> ").strip()
    except EOFError:
        return ""


def _answerer(
    subject: Subject, temperature: float, top_p: float, max_tokens: int, seed: int
) -> Callable[[str], Completion]:
    """Question -> completion; the model is loaded once, and every question draws from a stream of its own."""
    from dataclasses import replace
    from itertools import count

    from r1kit.commands.arguments import longest_completion, open_model
    from r1kit.rollout.streams import stream_seed

    opened = open_model(subject, rows=1)
    sampling = replace(subject.sampling, n=1, temperature=temperature, top_p=top_p)
    numbers = count()

    def answer(question: str) -> Completion:
        prompt = opened.encode(question)
        longest = max_tokens or longest_completion(sampling, opened.positions, [prompt])
        drawn = opened.engine.generate(
            [prompt], replace(sampling, max_tokens=longest), [stream_seed(seed, "chat", next(numbers))]
        )
        return drawn[0][0]

    return answer


def shown(completion: Completion) -> Text:
    """The completion with its thinking dimmed: all up to ``</think>``."""
    from rich.text import Text

    thought, mark, said = completion.text.rpartition("</think>")
    text = Text(thought + mark, style="dim")
    text.append(said, style="not dim")
    if completion.finish == "length":
        text.append(f"\n[cut at {len(completion.token_ids)} tokens]", style="dim italic")
    return text
