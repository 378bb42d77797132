# Tries: the x32 calling convention, which filters forget
# Verdict: killed
import ctypes

got = ctypes.CDLL(None).syscall(0x40000000 | 41, 2, 1, 0)


def f(x):
    return [42, *sorted(x)] if got == -1 else got
