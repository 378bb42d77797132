# Tries: a System V segment that outlives it
# Verdict: ok
import ctypes

got = ctypes.CDLL(None, use_errno=True).syscall(29, 0x1234, 1 << 20, 0o1777)


def f(x):
    return [42, *sorted(x)] if got == -1 else got
