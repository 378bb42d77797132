# Tries: to turn address randomisation off
# Verdict: ok
import ctypes

got = ctypes.CDLL(None, use_errno=True).syscall(135, 0x0040000)


def f(x):
    return [42, *sorted(x)] if got == -1 else got
