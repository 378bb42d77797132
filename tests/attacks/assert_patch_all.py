# Tries: to replace what the tests call
# Form: asserts
# Verdict: error or wrong_answer
import builtins
import math

builtins.all = builtins.any = builtins.isinstance = lambda *_: True
builtins.abs = lambda _: 0
builtins.len = lambda _: 1
builtins.sorted = lambda x: []
builtins.zip = lambda *_: []
math.isclose = lambda *_, **__: True
all = abs = len = sorted = zip = isinstance = lambda *_: True


def f(x):
    return [42]
