# Tries: to stop the kernel in the middle of a copy
# Verdict: ok
import ctypes

got = ctypes.CDLL(None, use_errno=True).syscall(323, 0)


def f(x):
    return [42, *sorted(x)] if got == -1 else got
