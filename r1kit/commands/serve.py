"""``r1 serve``: models behind OpenAI's addresses, and a page to talk to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from r1kit.serving.served import Served
    from r1kit.web.guard import Guard, Rules

__all__ = ["application", "serve"]

PORT = 8000
CONNECTIONS_OF_ONE = 2
"""Open connections for each completion that may run or wait: its own, and one that asks for more or is idle."""
DTYPES = ("exact", "auto", "float32", "bfloat16")


def serve(
    models: Annotated[
        list[str], typer.Argument(metavar="MODEL...", help="DIR:STAGE, a model folder, a hub name, a GGUF file.")
    ],
    host: Annotated[str, typer.Option(help="Address to listen on; another than this machine's own makes a token.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Default: 8000, or the next free one.")] = None,
    api_key: Annotated[
        str | None,
        typer.Option(envvar="R1_API_KEY", help="What clients must show as their key; left out: none on 127.0.0.1."),
    ] = None,
    rows: Annotated[int, typer.Option(min=1, help="Completions that decode side by side, of each model.")] = 32,
    waiting: Annotated[int, typer.Option(min=0, help="Completions that may wait; more are answered with 429.")] = 256,
    template: Annotated[str, typer.Option(help="chat, plain, r1_zero or a text with {question}.")] = "",
    temperature: Annotated[float, typer.Option(min=0.0, max=2.0, help="Where a request names none.")] = 0.6,
    top_p: Annotated[float, typer.Option(min=0.0, max=1.0, help="Where a request names none.")] = 0.95,
    max_tokens: Annotated[
        int, typer.Option(min=0, help="Longest answer in a chat that names none; 0: the stage's own, or 1024.")
    ] = 0,
    thinking: Annotated[str, typer.Option(help="The tags around thinking, or none.")] = "<think> </think>",
    dtype: Annotated[str, typer.Option(help="exact (float32 on a CPU), auto, float32 or bfloat16.")] = "exact",
) -> None:
    """Serve models: OpenAI's API under /v1, a chat page at /, /metrics, /health."""
    from r1kit.checkpoint.source import check_model
    from r1kit.errors import InputError, nearest
    from r1kit.serving.opening import tags_of
    from r1kit.web.listen import CONNECTIONS, bind, listen, rules_for

    if dtype not in DTYPES:
        raise InputError(f"--dtype {dtype!r} is unknown; dtypes are {', '.join(DTYPES)}.{nearest(dtype, DTYPES)}")
    if len(set(models)) < len(models):
        raise InputError(f"{next(one for one in models if models.count(one) > 1)} is named twice; name each model once")
    if api_key is not None and not api_key.strip():
        raise InputError("--api-key is empty; give a key, or leave it out: on 127.0.0.1 none is asked for")
    tags = tags_of(thinking)
    rules = rules_for(host, token=api_key or "", open_paths=("/v1/",), free_paths=("/health",), limit=4_000_000)
    for model in models:
        check_model(model)
    bound = bind(host, port, PORT)
    with bound:
        served = [
            _opened(model, template, rows, waiting, max_tokens, (temperature, top_p), dtype, tags) for model in models
        ]
        connections = CONNECTIONS + CONNECTIONS_OF_ONE * sum(one.batcher.most for one in served)
        listen(application(served, rules), bound, what="chat and API (/v1)", rules=rules, connections=connections)


def _opened(
    model: str, template: str, rows: int, waiting: int, max_tokens: int, drawn: tuple[float, float], dtype: object,
    tags: object,
) -> Served:  # fmt: skip
    """The model, loaded."""
    import time
    from dataclasses import replace

    from r1kit.commands.arguments import open_subject
    from r1kit.serving.batcher import Batcher
    from r1kit.serving.opening import open_speech, use_cores
    from r1kit.serving.served import Served

    subject = open_subject(model, template=template)
    use_cores()
    sampling = replace(subject.sampling, max_tokens=max_tokens or subject.sampling.max_tokens)
    engine, speech = open_speech(model, subject.recipe, sampling, rows=rows, dtype=dtype, tags=tags)  # type: ignore[arg-type]
    return Served(
        name=model, speech=speech, batcher=Batcher(engine, most=rows + waiting), created=int(time.time()),
        temperature=drawn[0], top_p=drawn[1],
    )  # fmt: skip


def application(served: list[Served], rules: Rules) -> Guard:
    """The API and the page, behind the guard."""
    from r1kit.serving.routes import Api
    from r1kit.web.chat.routes import chat_routes
    from r1kit.web.site import Link, site

    api = Api(served)
    routes = [*chat_routes([*api.models]), *api.routes()]
    return site(routes, name="chat", rules=rules, nav=[Link(href="/", text="Chat")], lifespan=api.lifespan)
