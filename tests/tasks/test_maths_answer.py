import signal
import threading

import pytest

from r1kit.answers import grade


@pytest.mark.parametrize(
    ("reference", "answer", "equal"),
    [
        ("1/2", "0.5", True),
        ("\\frac{1}{2}", "$\\frac12$", True),
        ("1,000", "1000", True),
        ("x+1", "1 + x", True),
        ("2\\pi", "$\\pi \\cdot 2$", True),
        ("5", "\\boxed{5}", True),
        ("5", "x = 5", True),
        ("300000", "3 \\times 10^5", True),
        ("\\text{Evelyn}", "evelyn.", True),
        ("Paris", "Pairs", False),  # not p * a * r * i * s
        ("7", "7 or 8", False),
        ("7", "7, 8", False),
        ("7", "$7$ and $8$", False),
        ("7", "6 + 1", False),  # repeats the question
        ("6", "2 * 3", False),
        ("\\frac{1}{2}", "1 - 1/2", False),
        ("-3", "-3", True),
        ("7", "", False),
        ("7", "9" * 600, False),
        ("0.333", "1/3", False),
    ],
)
def test_equal_by_hand(reference: str, answer: str, equal: bool) -> None:
    assert grade.equal(reference, answer) is equal


@pytest.mark.parametrize(
    ("text", "form"),
    [("0.50", "1/2"), ("1,000", "1000"), ("x = 5", "5"), ("+5", "5"), ("$1+x$", "x + 1"), (" The  Cat. ", "the cat")],
)
def test_canonical_by_hand(text: str, form: str) -> None:
    assert grade.canonical(text) == form


def test_it_sets_no_alarm_and_runs_off_the_main_thread() -> None:
    before, found = signal.getsignal(signal.SIGALRM), []
    thread = threading.Thread(target=lambda: found.append(grade.equal("\\sqrt{8}", "2\\sqrt{2}")))
    thread.start()
    thread.join()
    assert found == [True]
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.alarm(0) == 0
