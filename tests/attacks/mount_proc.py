# Tries: to mount /proc
# Verdict: ok
import ctypes

got = ctypes.CDLL(None, use_errno=True).syscall(165, b"proc", b"/tmp", b"proc", 0, 0)


def f(x):
    return [42, *sorted(x)] if got == -1 else got
