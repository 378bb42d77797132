# Tries: to kill, stop and interrupt process 1
# Verdict: ok
import os

for number in range(1, 65):
    try:
        os.kill(1, number)
    except OSError:
        pass


def f(x):
    return [42, *sorted(x)]
