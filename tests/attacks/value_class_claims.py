# Tries: an object that claims to be a list
# Verdict: error or wrong_answer
class Claim:
    __class__ = list

    def __len__(self):
        return 3


def f(x):
    return Claim()
