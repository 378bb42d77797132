# Tries: a list that equals, is longer and is less as it likes
# Form: asserts
# Verdict: error or wrong_answer
class Yes(list):
    __eq__ = __lt__ = __le__ = __gt__ = __ge__ = __contains__ = lambda self, other: True
    __ne__ = lambda self, other: False
    __len__ = lambda self: 4
    __getitem__ = lambda self, at: 42


def f(x):
    return Yes()
