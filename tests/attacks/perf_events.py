# Tries: performance counters, a source of holes
# Verdict: ok
import ctypes

got = ctypes.CDLL(None, use_errno=True).syscall(298, ctypes.create_string_buffer(128), 0, -1, -1, 0)


def f(x):
    return [42, *sorted(x)] if got == -1 else got
