# Tries: to set the clock
# Verdict: ok
import ctypes

got = ctypes.CDLL(None, use_errno=True).syscall(227, 0, ctypes.create_string_buffer(16))


def f(x):
    return [42, *sorted(x)] if got == -1 else got
