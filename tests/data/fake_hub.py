"""A hub on this machine: ``me/live`` lies there, ``me/absent`` does not, ``me/gated`` asks for a login, others fail."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlparse

COMMIT = "b" * 40


@contextmanager
def serve(files: Mapping[str, bytes]) -> Iterator[str]:
    """The address of the hub, where ``me/live`` holds these files."""
    tree = [
        {"type": "file", "oid": hashlib.sha1(data).hexdigest(), "size": len(data), "path": name}
        for name, data in files.items()
    ]

    class Hub(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = unquote(urlparse(self.path).path)
            said = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            name = re.search(r"/me/(\w+)", path)
            if name is None or name[1] != "live":
                code, why = {"absent": (404, "RepoNotFound"), "gated": (403, "GatedRepo")}.get(
                    name[1] if name else "", (500, "")
                )
                self.answer(code, b"", {"X-Error-Code": why})
            elif found := re.fullmatch(r"/datasets/me/live/resolve/[^/]+/(.+)", path):
                data = files.get(found[1])
                head = {"X-Repo-Commit": COMMIT}
                if data is None:
                    self.answer(404, b"", {**head, "X-Error-Code": "EntryNotFound"})
                else:
                    self.answer(200, data, {**head, "ETag": f'"{hashlib.sha1(data).hexdigest()}"'})
            elif "/tree/" in path:
                self.answer_json(tree)
            elif "/paths-info/" in path:
                wanted = json.loads(said)["paths"] if said[:1] == "{" else parse_qs(said).get("paths", [])
                self.answer_json([file for file in tree if file["path"] in wanted])
            else:
                self.answer_json({"id": "me/live", "sha": COMMIT, "gated": False, "siblings": []})

        do_HEAD = do_POST = do_GET

        def answer_json(self, value: Any) -> None:
            self.answer(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

        def answer(self, code: int, data: bytes, head: Mapping[str, str]) -> None:
            self.send_response(code)
            for key, value in head.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
