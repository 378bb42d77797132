# Tries: something that looks like an array and compares member by member
# Form: asserts
# Verdict: error or wrong_answer
class Array:
    shape, dtype, size = (1,), "int64", 1
    __module__ = "numpy"

    def __eq__(self, other):
        return Array()

    __ne__ = __lt__ = __le__ = __sub__ = __abs__ = __getitem__ = __eq__
    __bool__ = all = any = lambda self: True
    __len__ = lambda self: 1
    __hash__ = lambda self: 0

    def tolist(self):
        return self


def f(x):
    return Array()
