# Tries: to make a failed assert no error
# Form: asserts
# Verdict: error or wrong_answer
import builtins
import sys


class Quiet(BaseException):
    def __new__(cls, *_):
        sys.exit(0)


builtins.AssertionError = AssertionError = Quiet
sys.excepthook = lambda *_: None


def f(x):
    return []
