# Tries: to answer for the tests on every descriptor there is
# Form: asserts
# Verdict: error or wrong_answer
import os

for descriptor in range(3, 64):
    try:
        os.write(descriptor, b'{"ran":true}\n{"value":true}\n{"value":true}\n' * 4)
    except OSError:
        pass


def f(x):
    os.write(3, b'{"parsed":true}\n{"ran":true}\n{"value":true}\n' * 4)
    os._exit(0)
