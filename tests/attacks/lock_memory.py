# Tries: to hold memory that cannot be taken back
# Verdict: ok
import ctypes

got = ctypes.CDLL(None, use_errno=True).syscall(151, 3)


def f(x):
    return [42, *sorted(x)] if got == -1 else got
