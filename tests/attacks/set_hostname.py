# Tries: to rename the machine
# Verdict: ok
import ctypes

got = ctypes.CDLL(None, use_errno=True).syscall(170, b"mine", 4)


def f(x):
    return [42, *sorted(x)] if got == -1 else got
