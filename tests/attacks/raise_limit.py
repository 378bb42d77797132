# Tries: to raise its own memory limit
# Verdict: ok
import ctypes

got = ctypes.CDLL(None, use_errno=True).syscall(302, 0, 9, (ctypes.c_uint64 * 2)(1 << 40, 1 << 40), 0)


def f(x):
    return [42, *sorted(x)] if got == -1 else got
