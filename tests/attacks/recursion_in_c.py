# Tries: to overflow the C stack
# Verdict: killed or wrong_answer
import ctypes
import sys

sys.setrecursionlimit(2**31 - 1)


@ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)
def down(depth):
    return down(depth + 1)


def f(x):
    return down(0)
