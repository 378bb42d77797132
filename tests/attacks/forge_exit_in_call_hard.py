# Tries: to end the process within a test
# Verdict: error
import os


def f(x):
    os._exit(0)
