# Tries: to pass for an object of the tests' own
# Form: asserts
# Verdict: error or wrong_answer
import os


def f(x):
    os.write(3, b'{"value":{"h":"f"}}\n{"value":{"h":-1}}\n{"value":{"h":{"h":1}}}\n' * 20)
    return f
