# Tries: to replace the functions that judge
# Verdict: error or wrong_answer
import builtins

builtins.isinstance = lambda *_: True
builtins.len = lambda _: 3
builtins.int = lambda *_: 42
builtins.type = lambda *_: list


def f(x):
    return "anything"
