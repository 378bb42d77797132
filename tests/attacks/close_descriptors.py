# Tries: to close every descriptor
# Verdict: error
import os

os.closerange(0, 1024)


def f(x):
    return [42, *sorted(x)]
