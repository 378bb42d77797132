"""A model behind an OpenAI-compatible address: one question in, one completion out, streamed; retries, rate limits."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from http.client import HTTPException
from typing import Any, TypeVar
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from r1kit.errors import InputError, R1Error
from r1kit.evals.replies import Again, Replies, Reply, cause_of, content_of, count_of, retry_after, words_of
from r1kit.records import Completion, Message, Prompt, Sampling
from r1kit.text.habits import opens_think
from r1kit.text.template import NAMED, Template

__all__ = ["Address", "base_of"]

IDLE = 300.0
"""Seconds without a byte after which a connection counts as dead."""
TRIES, FIRST_TRIES = 8, 3
"""Of one question, where nothing comes back or the server fails; fewer while it has never answered."""
LIMITED = 50
"""Refusals for the rate of one question."""
LONGEST_WAIT = 900.0
"""Seconds that ``Retry-After`` may ask for; the run ends where it asks for more."""
FIRST_WAIT = 0.5
"""Seconds before the second try; each further one waits twice as long, at most a minute, spread by half."""
MAY_GO = ("stream_options", "seed", "top_p", "temperature")
"""Parameters that a server may not know: left out where it says so."""
SPARE = 8
"""Tokens that a prompt may have beyond those of the longest one, which is told by its text; and a quarter of that."""
PASSING = {408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529}
"""Statuses of what may go by itself."""

T = TypeVar("T")


class _Stay(HTTPRedirectHandler):
    """A question that is sent on would arrive as a GET."""

    def redirect_request(self, *given: Any, **named: Any) -> None:
        return None


def base_of(address: str) -> str:
    """``http://HOST:PORT/v1`` of what a user writes. Raises InputError for what is no address."""
    parts = urlsplit(address.strip())
    try:
        whole = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        whole = False
    if not whole or parts.query or parts.fragment or parts.username:
        raise InputError(f"--address {address!r} is no address; write http://HOST:PORT/v1 or https://HOST/v1")
    path = parts.path.rstrip("/").removesuffix("/chat/completions").removesuffix("/completions")
    return f"{parts.scheme}://{parts.netloc}{path or '/v1'}"


class Address:
    """Any thread may ask."""

    def __init__(
        self, address: str, model: str, key: str = "", template: Template | None = None,
        tell: Callable[[str], None] = lambda line: None, sleep: Callable[[float], None] = time.sleep,
    ) -> None:  # fmt: skip
        """
        Args:
            address: see ``base_of``.
            model: as the server calls it.
            key: sent as a bearer token; empty: none.
            template: ``chat`` asks ``/chat/completions``, whose server has a chat template; any other asks
                ``/completions`` with its text.
            tell: is told in a line why it waits.
            sleep: waits so many seconds.
        """
        self.base, self.model = base_of(address), model
        self._template = template or Template()
        self._tell, self._sleep = tell, sleep
        self._headers = {"Content-Type": "application/json", "Accept": "text/event-stream, application/json"}
        if key.strip():
            self._headers["Authorization"] = f"Bearer {key.strip()}"
        self._replies = Replies(self.base)
        self._opener = build_opener(_Stay())
        self._lock, self._not_before, self._answered = threading.Lock(), 0.0, False
        chat, arguments = self._template.name == "chat", dict(self._template.arguments)
        self._told = {"chat_template_kwargs": arguments} if chat and arguments else {}
        if chat and self._template.prefill:
            begun = f"the template's prefill {self._template.prefill!r} is not sent"
            tell(f"{self.base}: {begun}: in a chat the server says how an answer begins")
        if chat and self._template.date:
            tell(f"{self.base}: the template's date {self._template.date} is not sent: the server writes its own")
        self._left_out: set[str] = set()
        self._renamed = False

    def spelled(self, prompt: Prompt) -> str:
        """What the model is asked, as text."""
        if self._template.name != "chat":
            text = NAMED.get(self._template.name, self._template.name)
            return text.replace("{question}", prompt.question + self._template.suffix) + self._template.prefill
        messages = self._messages(prompt)
        return json.dumps({"messages": messages, **self._told} if self._told else messages, ensure_ascii=False)

    @property
    def opens(self) -> bool:
        """Whether the text that is asked ends in ``<think>``; what a chat's server opens it puts back itself."""
        return self._template.name != "chat" and opens_think(self.spelled(Prompt(question="")))

    def ask(self, prompt: Prompt, sampling: Sampling, seed: int) -> Completion:
        """One completion, however often ``sampling.n`` says; its tokens are counted by the server.

        Raises:
            InputError: the server declines the question, the key or the model.
            R1Error: it cannot be reached, fails again and again, or answers in another shape.
        """
        reply = self._asked(prompt, sampling, seed)
        counted = reply.pieces if reply.tokens is None else reply.tokens
        finish = "length" if reply.finish in ("length", "max_tokens") else "stop"
        return Completion(token_ids=(0,) * counted, logprobs=(), text=reply.text, finish=finish)  # type: ignore[arg-type]

    def longest(self, prompts: Sequence[Prompt], wanted: int, *, named: bool) -> int:
        """Tokens of a completion where the user names no number; told in a line where the server decides.

        Args:
            wanted: what fits best; cut to what the model's context leaves, where the server says how long that is.
            named: somebody meant this number; else the server's own goes first.

        Raises:
            R1Error, InputError: as ``ask``.
        """
        listed = self._tried(self._listed)
        own = listed.get("r1")
        asked = None if named else count_of(own.get("max_tokens") if isinstance(own, Mapping) else None)
        found, why = (asked, "its own number") if asked else (wanted, "")
        context = count_of(listed.get("max_model_len"))
        if context and prompts:
            prompt = max(prompts, key=lambda one: len(self.spelled(one).encode()))
            if found + len(self.spelled(prompt).encode()) > context:
                read = self._asked(prompt, Sampling(max_tokens=1), 0).prompt_tokens or 0
                room = max(1, context - read - read // 4 - SPARE)
                found, why = (room, f"its context is {context} tokens") if room < found else (found, why)
        if why:
            self._tell(f"{self.base}: {self.model} answers with at most {found} tokens ({why}); or say --max-tokens N")
        return found

    # ---- tries ------------------------------------------------------------------------------------------------------

    def _asked(self, prompt: Prompt, sampling: Sampling, seed: int) -> Reply:
        return self._tried(lambda: self._once(self._body(prompt, sampling, seed), sampling.max_tokens))

    def _tried(self, once: Callable[[], T]) -> T:
        failed = limited = 0
        while True:
            try:
                found = once()
            except Again as again:
                failed, limited = failed + (not again.limited), limited + again.limited
                if failed >= (TRIES if self._answered else FIRST_TRIES) or limited >= LIMITED:
                    raise R1Error(f"{self.base}: {again} ({failed + limited} tries)") from None
                self._wait(again, failed + limited)
                continue
            self._answered = True
            return found

    def _messages(self, prompt: Prompt) -> list[dict[str, str]]:
        turns = [*(prompt.history or ()), Message(role="user", content=prompt.question)]
        suffix, system = self._template.suffix, self._template.system
        found = [
            {"role": turn.role, "content": turn.content + (suffix if turn.role == "user" else "")} for turn in turns
        ]
        return [{"role": "system", "content": system}, *found] if system and turns[0].role != "system" else found

    def _body(self, prompt: Prompt, sampling: Sampling, seed: int) -> tuple[str, dict[str, Any]]:
        """(path, the request)."""
        chat = self._template.name == "chat"
        if not chat and prompt.history:
            raise InputError(f"template {self._template.name[:40]!r} knows one question alone; ask a chat with 'chat'")
        asked = {"messages": self._messages(prompt), **self._told} if chat else {"prompt": self.spelled(prompt)}
        drawn: dict[str, Any] = {"temperature": sampling.temperature, "top_p": sampling.top_p, "seed": seed % 2**31}
        drawn["max_completion_tokens" if self._renamed and chat else "max_tokens"] = sampling.max_tokens
        if sampling.stop:
            drawn["stop"] = list(sampling.stop)
        told = {"stream": True, "stream_options": {"include_usage": True}}
        body = {"model": self.model, **asked, **drawn, **told}
        return "/chat/completions" if chat else "/completions", {
            name: value for name, value in body.items() if name not in self._left_out
        }

    def _once(self, request: tuple[str, dict[str, Any]], longest: int) -> Reply:
        path, body = request

        def read(answer: Any) -> Reply:
            if "event-stream" in answer.headers.get("Content-Type", ""):
                return self._replies.streamed(answer, longest)
            return self._replies.whole(answer.read())

        asked = Request(self.base + path, json.dumps(body).encode(), self._headers, method="POST")
        try:
            return self._opened(asked, read)
        except HTTPError as error:
            with error:
                raise self._refused(error, body) from None

    def _listed(self) -> Mapping[str, Any]:
        """The model's entry in ``/models``; empty where the server has no such list, or the model is not in it."""
        try:
            content = self._opened(Request(self.base + "/models", headers=self._headers), lambda answer: answer.read())
        except HTTPError as error:
            with error:
                if error.code in (429, 503):
                    raise self._refused(error, {}) from None
            return {}
        try:
            table = json.loads(content)
        except (ValueError, RecursionError):
            return {}
        entries = table.get("data") if isinstance(table, Mapping) else None
        held = [one for one in entries if isinstance(one, Mapping)] if isinstance(entries, list) else []
        return next((one for one in held if one.get("id") == self.model), {})

    def _opened(self, asked: Request, read: Callable[[Any], T]) -> T:
        """Raises HTTPError and Again."""
        self._hold()
        try:
            with self._opener.open(asked, timeout=IDLE) as answer:
                return read(answer)
        except HTTPError:
            raise
        except URLError as error:
            raise Again(f"nothing answers there ({cause_of(error.reason)})") from None
        except (OSError, HTTPException) as error:
            raise Again(f"its answer broke off ({cause_of(error)})") from None

    # ---- what it refuses --------------------------------------------------------------------------------------------

    def _refused(self, error: HTTPError, body: Mapping[str, Any]) -> Exception:
        status, content = error.code, content_of(error)
        words = words_of(content)
        if 300 <= status < 400:
            return InputError(f"{self.base} sends on to {error.headers.get('Location')}; give that as --address")
        if status in PASSING:
            return Again(f"it answers with {status}: {words}", retry_after(error), limited=status == 429)
        if status in (401, 403):
            return InputError(
                f"{self.base} refuses the key ({status}: {words}); set OPENAI_API_KEY to one that it takes"
            )
        if status == 404:
            return InputError(f"{self.base} has no model {self.model!r}, or is no base address (404: {words})")
        if status == 400 and self._adapts(words, body):
            return Again("", 0.0, limited=True)
        too_long = "context" in words or "max_tokens" in words
        hint = "; fewer tokens are asked for by --max-tokens N" if too_long else ""
        return InputError(f"{self.base} declines the question ({status}: {words}){hint}")

    def _adapts(self, words: str, body: Mapping[str, Any]) -> bool:
        """Whether a parameter of the request that the server names as unknown can be left out or renamed; told once."""
        with self._lock:  # as many threads may be refused at once as ask
            if "max_completion_tokens" in words and "messages" in body and "max_tokens" in body:
                if not self._renamed:
                    self._tell(f"{self.base} wants max_tokens as max_completion_tokens: asked so")
                self._renamed = True
                return True
            unknown = any(
                said in words.lower() for said in ("unsupported", "unknown", "unrecognized", "not supported", "extra")
            )
            named = [name for name in MAY_GO if name in words and name in body]
            if not (unknown and named):
                return False
            if new := [name for name in named if name not in self._left_out]:
                self._tell(f"{self.base} does not take {', '.join(new)}: asked without")
            self._left_out |= set(named)
            return True

    def _wait(self, again: Again, tries: int) -> None:
        wait = again.wait
        if wait is None:
            wait = min(60.0, FIRST_WAIT * 2 ** (tries - 1)) * random.uniform(0.75, 1.25)
        if wait > LONGEST_WAIT:
            raise R1Error(f"{self.base}: {again}; it asks to wait {wait:.0f} s: run the same command again then")
        if wait >= 5:
            self._tell(f"{self.base}: {again}; waiting {wait:.0f} s")
        if again.limited:  # for all threads
            with self._lock:
                self._not_before = max(self._not_before, time.monotonic() + wait)
        else:
            self._sleep(wait)

    def _hold(self) -> None:
        """Until the server's rate limit is over."""
        while (left := self._not_before - time.monotonic()) > 0:
            self._sleep(min(left, 1.0))
