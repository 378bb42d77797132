"""A request's JSON, read strictly: what is unknown, of the wrong type or out of range is refused by its name."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from r1kit.errors import nearest
from r1kit.serving.errors import ApiError

__all__ = ["NEUTRAL", "Fields", "read_body"]

_ANY = object()
NEUTRAL: dict[str, tuple[Any, ...]] = {
    "best_of": (1,), "frequency_penalty": (0,), "presence_penalty": (0,), "repetition_penalty": (1,),
    "logit_bias": ({},), "top_k": (-1, 0), "min_p": (0,), "suffix": ("",), "store": (False,), "tools": ([],),
    "tool_choice": ("none", "auto"), "functions": ([],), "function_call": ("none", "auto"),
    "parallel_tool_calls": (True, False),
    "response_format": ({"type": "text"},), "modalities": (["text"],), "service_tier": ("auto", "default"),
    "user": (_ANY,), "metadata": (_ANY,), "safety_identifier": (_ANY,), "prompt_cache_key": (_ANY,),
}  # fmt: skip
"""Parameters of the API that are not built: the values with which they ask for nothing."""


def read_body(body: bytes, known: Iterable[str]) -> Fields:
    """The fields of a request.

    Raises:
        ApiError: no JSON object, an unknown parameter, or one that is not built.
    """
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ApiError(f"the body is not JSON: {str(error)[:200]}", code="invalid_json") from None
    if not isinstance(found, dict):
        raise ApiError("the body must be a JSON object", code="invalid_json")
    known = [*known]
    for name, value in found.items():
        if name in NEUTRAL:
            allowed = NEUTRAL[name]
            if value is not None and _ANY not in allowed and value not in allowed:
                values = " or ".join(json.dumps(one) for one in allowed)
                raise ApiError(
                    f"{name} is not supported here; leave it out, or give {values}",
                    param=name, code="unsupported_parameter",
                )  # fmt: skip
        elif name not in known:
            raise ApiError(
                f"unknown parameter {name[:100]!r}; parameters are {', '.join(known)}.{nearest(name[:100], known)}",
                param=name[:100], code="unknown_parameter",
            )  # fmt: skip
    return Fields({name: value for name, value in found.items() if value is not None})


class Fields:
    """Values by name; null is as good as left out."""

    def __init__(self, values: dict[str, Any], where: str = "") -> None:
        self._values, self._where = values, where

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def wrong(self, name: str, wanted: str, code: str = "invalid_value") -> ApiError:
        """What a value must be instead."""
        shown = json.dumps(self._values.get(name))
        shown = shown if len(shown) <= 60 else f"{shown[:57]}..."
        place = self._where + name
        return ApiError(f"{place} must be {wanted}, not {shown}", param=place, code=code)

    def missing(self, name: str, wanted: str = "") -> ApiError:
        """``wanted``: what it must be."""
        place = self._where + name
        said = f"{place} is missing; it must be {wanted}" if wanted else f"{place} is missing"
        return ApiError(said, param=place, code="missing_parameter")

    def any(self, name: str) -> Any:
        """As it stands; None where it is left out."""
        return self._values.get(name)

    def text(self, name: str, *, empty: bool = False) -> str:
        """A string that must be there.

        Raises:
            ApiError: so do all below.
        """
        value = self._values.get(name)
        if name not in self._values:
            raise self.missing(name)
        if not isinstance(value, str) or not (value or empty):
            raise self.wrong(name, "a string" if empty else "a string that is not empty")
        return whole(value, self._where + name)

    def flag(self, name: str) -> bool:
        """False where it is left out."""
        value = self._values.get(name, False)
        if not isinstance(value, bool):
            raise self.wrong(name, "true or false")
        return value

    def integer(self, name: str, low: int, high: int) -> int | None:
        """None where it is left out."""
        value = self._values.get(name)
        if value is None:
            return None
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self.wrong(name, f"a whole number from {low} to {high}")
        return value

    def number(self, name: str, low: float, high: float, default: float) -> float:
        """``default`` where it is left out."""
        value = self._values.get(name, default)
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            raise self.wrong(name, "a number")
        if not low <= value <= high:  # NaN is in no range; an integer may be beyond any float
            raise self.wrong(name, f"a number from {low:g} to {high:g}")
        return float(value)

    def strings(self, name: str, most: int) -> tuple[str, ...]:
        """A string or a list of them; empty where it is left out."""
        value = self._values.get(name, [])
        found = [value] if isinstance(value, str) else value
        if not isinstance(found, list) or len(found) > most or not all(isinstance(one, str) and one for one in found):
            raise self.wrong(name, f"a string or up to {most} of them, none empty")
        return tuple(whole(one, self._where + name) for one in found)


def whole(text: str, param: str) -> str:
    """A text that can be encoded."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ApiError(f"{param} holds half of a surrogate pair", param=param, code="invalid_value") from None
    return text
