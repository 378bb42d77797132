# Tries: to load a kernel module
# Verdict: ok
import ctypes

got = ctypes.CDLL(None, use_errno=True).syscall(175, b"", 0, b"")


def f(x):
    return [42, *sorted(x)] if got == -1 else got
