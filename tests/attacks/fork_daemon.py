# Tries: to outlive its run: double fork and setsid
# Verdict: error
import os
import time

if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(60)


def f(x):
    return [42, *sorted(x)]
