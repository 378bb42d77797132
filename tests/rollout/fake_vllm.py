"""A server that answers as vLLM's does, as far as a run asks: in this process, or as one of its own to be killed.

``python fake_vllm.py PORT SECONDS [HOST]`` prints its port; a prompt takes that long. What it draws depends on the
prompt, the seed and the weights it was handed, so that an answer shows which weights gave it.
"""

from __future__ import annotations

import json
import math
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from typing import Any
from urllib.parse import urlsplit

VOCAB = 60
END = 1
CONFIG = {"model_type": "llama", "vocab_size": VOCAB, "hidden_size": 48, "num_hidden_layers": 2, "rope_theta": 1e4}


class Words:
    """Its tokenizer: token 9 reads `w9`."""

    eos_token_id = END

    def __len__(self) -> int:
        return VOCAB

    def decode(self, token_ids: list[int], **_: Any) -> str:
        return " ".join(f"w{token}" for token in token_ids)


class State:
    """What a vLLM server knows."""

    def __init__(self) -> None:
        self.label = "default"
        self.paused = False
        self.weights: dict[str, Any] = {}
        self.coming: dict[str, Any] | None = None
        self.group: Any = None
        self.told = {
            "version": "0.32.0", "config": dict(CONFIG), "dtype": "float32", "positions": 64, "device": "cpu",
            "logprobs_mode": "processed_logprobs", "backend": "r1kit", "max_rows": 8,
        }  # fmt: skip
        self.slow = 0.0
        """Seconds that a completion takes."""
        self.missing: set[str] = set()
        """Paths that it does not have."""
        self.spoil: Callable[[dict[str, Any]], Any] = lambda answer: answer
        """What becomes of the answer to a prompt."""
        self.fail: dict[str, tuple[int, bytes]] = {}
        """Path -> (status, body) instead of its answer."""
        self.asked: list[tuple[str, Any]] = []
        """(path, body) of every call."""
        self.lock = threading.Lock()

    def digest(self) -> float:
        """Of the weights."""
        return sum(float(weight.sum()) for weight in self.weights.values())

    # ---- routes -----------------------------------------------------------------------------------------------------

    def answer(self, path: str, body: Any) -> Any:
        if path == "/version":
            return {"version": self.told["version"]}
        if path == "/get_world_size":
            return {"world_size": 1}
        if path == "/is_paused":
            return {"is_paused": self.paused}
        if path in ("/pause", "/resume"):
            self.paused = path == "/pause"
            return {}
        if path == "/weight_info":
            return {"weight_version": self.label}
        if path == "/update_weight_version":
            self.label = body["new_version"]
            return {}
        if path == "/collective_rpc":
            return {"results": [self.told if body["method"] == "r1kit_describe" else "512.0"]}
        if path == "/inference/v1/generate":
            return self.spoil(self.generate(body))
        return self.update(path, body)

    def update(self, path: str, body: Any) -> Any:
        if path == "/init_weight_transfer_engine":
            self.join(body["init_info"])
        elif path == "/start_weight_update":
            assert self.coming is None, "an update is going on"
            self.coming = {}
        elif path == "/update_weights":
            assert self.coming is not None
            coming, self.coming = self.coming, None  # given up where one fails
            self.coming = coming | self.receive(body["update_info"])
        else:
            assert path == "/finish_weight_update"
            assert self.coming is not None
            self.weights, self.coming, self.label = self.coming, None, body["weight_version"]
        return {}

    def join(self, wire: dict[str, Any]) -> None:
        self.group = None
        if wire["kind"] == "gloo":
            from r1kit.rollout.gloo import Broadcast, tcp_store

            store = tcp_store(wire["host"], wire["port"], wire["timeout"])
            self.group = Broadcast(store, wire["name"], wire["first"], wire["size"], wire["timeout"])

    def receive(self, update: dict[str, Any]) -> dict[str, Any]:
        if update.get("abort"):
            raise RuntimeError("given up")
        if self.group is None:
            from safetensors.numpy import load_file

            found = load_file(update["path"])
            return {name: found[name] for name in update["names"]}
        import torch

        return {
            name: self.group.receive(getattr(torch, dtype), tuple(shape)).float().numpy()
            for name, dtype, shape in zip(update["names"], update["dtypes"], update["shapes"], strict=True)
        }

    def generate(self, body: Any) -> dict[str, Any]:
        asked = body["sampling_params"]
        time.sleep(self.slow)
        while self.paused:
            time.sleep(0.01)
        return {
            "prompt_token_ids": body["token_ids"],
            "choices": [self.row(index, body["token_ids"], asked) for index in reversed(range(asked["n"]))],
        }

    def row(self, index: int, prompt: list[int], asked: Any) -> dict[str, Any]:
        """Ended by the end token in three cases of four."""
        random = Random(f"{asked['seed'] + index}/{prompt}/{self.digest()}")
        tokens = [random.randrange(2, VOCAB) for _ in range(random.randint(1, asked["max_tokens"]))]
        ended = random.random() < 0.75
        tokens = [*tokens[:-1], END] if ended else [random.randrange(2, VOCAB) for _ in range(asked["max_tokens"])]
        scored = [{"token_id": token, "logprob": -math.log(VOCAB)} for token in tokens]
        return {
            "index": index,
            "finish_reason": "stop" if ended else "length",
            "stop_reason": END if ended else None,
            "token_ids": tokens,
            "logprobs": {"content": scored},
            "weight_versions": [{"version": self.label, "start": 0, "end": len(tokens)}],
        }


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Fake

    def do_GET(self) -> None:
        self.respond("GET")

    def do_POST(self) -> None:
        self.respond("POST")

    def respond(self, method: str) -> None:
        state, path = self.server.state, urlsplit(self.path).path
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"null")
        state.asked.append((path, body))
        if path in state.fail:
            status, content = state.fail[path]
        elif path in state.missing:
            status, content = 404, b'{"detail": "Not Found"}'
        elif method == "GET" and path == "/inference/v1/generate":
            status, content = 405, b'{"detail": "Method Not Allowed"}'
        else:
            try:
                status, found = 200, state.answer(path, body)
                content = found if isinstance(found, bytes) else json.dumps(found).encode()
            except Exception as error:
                status, content = 500, json.dumps({"error": {"message": f"{type(error).__name__}: {error}"}}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Nothing."""


class Fake(ThreadingHTTPServer):
    """Listens from the start; ``close`` it."""

    daemon_threads, allow_reuse_address, block_on_close = True, True, False

    def __init__(self, port: int = 0, host: str = "127.0.0.1") -> None:
        super().__init__((host, port), Handler)
        self.state = State()
        self.address = f"http://{host}:{self.server_port}"
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def handle_error(self, *_: Any) -> None:
        """A caller that hung up is no error here."""

    def close(self) -> None:
        self.shutdown()
        self.server_close()


class Raw:
    """Listens, and does with a connection what it is told: for answers that no server would give."""

    def __init__(self, behave: Callable[[socket.socket], None]) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self.behave = behave
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.one, args=(connection,), daemon=True).start()

    def one(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.recv(65536)
            self.behave(connection)

    def close(self) -> None:
        self.socket.close()


if __name__ == "__main__":
    if sys.argv[3:]:
        pass  # weights come over it: before anybody waits for an answer
    fake = Fake(int(sys.argv[1]), *sys.argv[3:])
    fake.state.slow = float(sys.argv[2])
    print(fake.server_port, flush=True)
    threading.Event().wait()
