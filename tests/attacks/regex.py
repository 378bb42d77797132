# Tries: a regular expression that takes for ever
# Verdict: timeout
import re


def f(x):
    return re.match(r"(a+)+$", "a" * 64 + "b")
