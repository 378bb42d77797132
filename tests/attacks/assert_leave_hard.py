# Tries: to leave well, and hard, before the asserts
# Form: asserts
# Verdict: error or wrong_answer
import os


def f(x):
    os._exit(0)
