# Tries: to break the tests' reader by a value nested deep
# Form: asserts
# Verdict: error or wrong_answer or memory or killed
import os


def f(x):
    os.write(3, b'{"value":' + b"[" * 30000 + b"]" * 30000 + b"}\n")
    return [42]
