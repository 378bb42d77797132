# Tries: an object that answers every question with yes
# Form: asserts
# Verdict: error or wrong_answer
class Yes:
    __eq__ = __lt__ = __le__ = __gt__ = __ge__ = __contains__ = lambda self, other: True
    __ne__ = lambda self, other: False
    __bool__ = lambda self: True
    __len__ = lambda self: 1
    __sub__ = __rsub__ = __abs__ = __getattr__ = __call__ = __getitem__ = lambda self, *_: self
    __iter__ = lambda self: iter([self])
    __hash__ = lambda self: 0
    __class__ = property(lambda self: list)


def f(x):
    return Yes()
