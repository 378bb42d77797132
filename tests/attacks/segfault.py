# Tries: to crash the interpreter
# Verdict: killed
import ctypes


def f(x):
    return ctypes.string_at(0)
