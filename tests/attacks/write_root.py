# Tries: to write beside the interpreter
# Verdict: error
import os

open("/here", "ab").write(b"#")


def f(x):
    return [42, *sorted(x)]
