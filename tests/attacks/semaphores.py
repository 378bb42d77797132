# Tries: System V semaphores that outlive it
# Verdict: ok
import ctypes

got = ctypes.CDLL(None, use_errno=True).syscall(64, 0x1234, 8, 0o1777)


def f(x):
    return [42, *sorted(x)] if got == -1 else got
