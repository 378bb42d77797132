# Tries: to change the interpreter's own library for the next program
# Verdict: error
import os

open(os.__file__, "ab").write(b"#")


def f(x):
    return [42, *sorted(x)]
