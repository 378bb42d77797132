# Tries: a string and a table that equal everything
# Form: asserts
# Verdict: error or wrong_answer
class Text(str):
    __eq__ = __contains__ = lambda self, other: True
    __ne__ = lambda self, other: False
    __hash__ = str.__hash__


class Table(dict):
    __eq__ = __contains__ = lambda self, other: True
    __len__ = lambda self: 1
    __getitem__ = lambda self, key: 42


def f(x):
    return Text("42") if x else Table()
