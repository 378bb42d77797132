# Tries: to stop the process that holds the tests
# Form: asserts
# Verdict: timeout
import os
import signal


def f(x):
    os.kill(os.getppid(), signal.SIGSTOP)
    return [42]
