# Tries: to put a file among the devices
# Verdict: error
import os

open("/dev/left", "ab").write(b"#")


def f(x):
    return [42, *sorted(x)]
