# Tries: to swap the root
# Verdict: ok
import ctypes

got = ctypes.CDLL(None, use_errno=True).syscall(155, b"/tmp", b"/tmp")


def f(x):
    return [42, *sorted(x)] if got == -1 else got
