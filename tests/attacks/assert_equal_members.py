# Tries: a list of objects that equal everything
# Form: asserts
# Verdict: error or wrong_answer
class Yes(float):
    __eq__ = __lt__ = __le__ = __gt__ = __ge__ = lambda self, other: True
    __ne__ = lambda self, other: False
    __sub__ = __rsub__ = __abs__ = lambda self, *_: Yes()
    __hash__ = float.__hash__


def f(x):
    return [Yes() for _ in range(len(x) + 1)]
