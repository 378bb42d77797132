# Tries: to recurse for ever without Python's own limit
# Verdict: memory or killed or timeout
import sys

sys.setrecursionlimit(2**31 - 1)


def f(x):
    return f(x)
