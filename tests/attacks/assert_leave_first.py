# Tries: to leave well before the asserts
# Form: asserts
# Verdict: error or wrong_answer
import sys


def f(x):
    sys.exit(0)
