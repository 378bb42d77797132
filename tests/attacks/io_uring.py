# Tries: io_uring, which passes by system call filters
# Verdict: ok
import ctypes

got = ctypes.CDLL(None, use_errno=True).syscall(425, 8, ctypes.create_string_buffer(120))


def f(x):
    return [42, *sorted(x)] if got == -1 else got
