# Tries: to kill every process
# Verdict: error
import os
import signal

os.kill(-1, signal.SIGKILL)


def f(x):
    return [42, *sorted(x)]
