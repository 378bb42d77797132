"""pytest's ``raises``, ``approx`` and ``fail`` in plain Python, as pytest 9 has them: put before tests that use them.

Handed over as source text; it imports the standard library alone. Not covered: ``raises`` with ``check``, ``approx`` of
``Decimal``, dates and numpy's arrays, none of which cross from the program.
"""

import math
import re
from typing import Any


class pytest:
    """What stands for the module."""

    class Failed(BaseException):
        """No ``Exception``, so that a test's own ``except Exception`` does not catch it."""

    @staticmethod
    def fail(reason: str = "", pytrace: bool = True) -> None:
        raise pytest.Failed(reason)

    @staticmethod
    def raises(expected_exception: Any = BaseException, *call: Any, **named: Any) -> Any:
        """A context, or, with what to call and its arguments, what came of it."""
        if not call:
            return pytest.Raises(expected_exception, **named)
        with pytest.Raises(expected_exception) as caught:
            call[0](*call[1:], **named)
        return caught

    class Raises:
        """The context, and what it caught."""

        value: Any = None

        def __init__(self, expected: Any, match: Any = None) -> None:
            self._expected, self._match = expected, match

        def __enter__(self) -> Any:
            return self

        def __exit__(self, kind: Any, value: Any, trace: Any) -> bool:
            if kind is None:
                pytest.fail(f"it did not raise {self._expected}")
            if not issubclass(kind, self._expected):
                return False
            self.type, self.value, self.tb, self.typename = kind, value, trace, kind.__name__
            if self._match is not None and not re.search(self._match, str(value)):
                pytest.fail(f"what it raised, {str(value)!r}, does not match {self._match!r}")
            return True

        def match(self, pattern: Any) -> bool:
            assert re.search(pattern, str(self.value)), f"{str(self.value)!r} does not match {pattern!r}"
            return True

    class approx:
        """A number, or a list, tuple or mapping of numbers: within ``rel`` (1e-6) of itself or ``abs`` (1e-12),
        whichever is more; ``abs`` alone counts alone."""

        __hash__ = None  # type: ignore[assignment]

        def __init__(self, expected: Any, rel: Any = None, abs: Any = None, nan_ok: bool = False) -> None:
            held = list(expected.values()) if isinstance(expected, dict) else expected
            if isinstance(held, (set, frozenset)) or (
                isinstance(held, (list, tuple)) and any(isinstance(x, (list, tuple, set, dict)) for x in held)
            ):
                raise TypeError("pytest.approx() takes neither sets nor what is nested")
            self._expected, self._rel, self._abs, self._nan_ok = expected, rel, abs, nan_ok

        def __eq__(self, actual: Any) -> bool:
            expected = self._expected
            if isinstance(expected, dict):
                same = isinstance(actual, dict) and actual.keys() == expected.keys()
                return same and all(self._near(actual[key], value) for key, value in expected.items())
            if isinstance(expected, (list, tuple)):
                same = hasattr(actual, "__len__") and len(actual) == len(expected)
                return same and all(map(self._near, actual, expected))
            return self._near(actual, expected)

        def __bool__(self) -> bool:
            raise AssertionError("approx() is not supported in a boolean context")

        def _near(self, actual: Any, expected: Any) -> bool:
            numbers = (int, float, complex)
            if isinstance(expected, bool):
                return isinstance(actual, bool) and actual == expected
            if actual == expected:
                return True
            if not (isinstance(expected, numbers) and isinstance(actual, numbers)):
                return False
            if math.isnan(abs(expected)):
                return self._nan_ok and math.isnan(abs(actual))
            return not math.isinf(abs(expected)) and abs(expected - actual) <= self._within(abs(expected))

        def _within(self, size: float) -> float:
            least = 1e-12 if self._abs is None else self._abs
            if self._rel is None and self._abs is not None:
                return float(least)
            return float(max(least, (1e-6 if self._rel is None else self._rel) * size))
