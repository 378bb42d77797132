"""What goes wrong with a request, as OpenAI's API says it."""

from __future__ import annotations

from typing import Any

__all__ = ["ApiError", "unknown_model"]


class ApiError(Exception):
    """An answer other than the one that was asked for: one line, and which parameter is to blame."""

    def __init__(
        self, message: str, *, status: int = 400, param: str | None = None, code: str | None = None,
        retry_after: int | None = None, allow: str = "",
    ) -> None:  # fmt: skip
        """``allow``: the methods that an address takes, for 405."""
        super().__init__(message)
        self.status, self.param, self.code, self.retry_after, self.allow = status, param, code, retry_after, allow

    def body(self) -> dict[str, Any]:
        """``{"error": {"message", "type", "param", "code"}}``"""
        kinds = {401: "authentication_error", 429: "rate_limit_error"}
        kind = kinds.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")
        return {"error": {"message": str(self), "type": kind, "param": self.param, "code": self.code}}


def unknown_model(name: str, known: list[str]) -> ApiError:
    """404, as OpenAI's."""
    return ApiError(
        f"the model {name!r} does not exist here; models are {', '.join(known)}",
        status=404, param="model", code="model_not_found",
    )  # fmt: skip
