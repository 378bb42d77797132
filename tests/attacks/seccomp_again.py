# Tries: to put a filter of its own over the walls'
# Verdict: ok
import ctypes

got = ctypes.CDLL(None, use_errno=True).syscall(317, 1, 0, 0)


def f(x):
    return [42, *sorted(x)] if got == -1 else got
