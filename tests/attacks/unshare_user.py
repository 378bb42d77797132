# Tries: a user namespace of its own, to be root in it
# Verdict: ok
import ctypes

got = ctypes.CDLL(None, use_errno=True).syscall(272, 0x10000000)


def f(x):
    return [42, *sorted(x)] if got == -1 else got
