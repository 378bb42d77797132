# Tries: an object that says it equals everything
# Form: asserts
# Verdict: error or wrong_answer
class Yes(int):
    def __eq__(self, other):
        return True

    __hash__ = int.__hash__


def f(x):
    return Yes()
