# Tries: a value without end
# Verdict: wrong_answer
import itertools


def f(x):
    return itertools.count()
