# Tries: to end the process that holds the tests
# Form: asserts
# Verdict: error or wrong_answer or memory or killed
import os
import signal


def f(x):
    os.kill(os.getppid(), signal.SIGTERM)
    return [42]
