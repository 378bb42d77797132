# Tries: to change the C library
# Verdict: error
import os

open("/usr/lib/x86_64-linux-gnu/libc.so.6", "ab").write(b"#")


def f(x):
    return [42, *sorted(x)]
