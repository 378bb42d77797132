# Tries: an object that says it equals everything
# Verdict: wrong_answer
class Yes:
    def __eq__(self, other):
        return True

    def __hash__(self):
        return 0


def f(x):
    return Yes()
