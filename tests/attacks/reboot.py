# Tries: to restart the machine
# Verdict: ok
import ctypes

got = ctypes.CDLL(None, use_errno=True).syscall(169, 0xFEE1DEAD, 672274793, 0x1234567, 0)


def f(x):
    return [42, *sorted(x)] if got == -1 else got
