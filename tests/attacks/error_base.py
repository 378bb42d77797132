# Tries: an error that no handler catches
# Verdict: error
class Base(BaseException):
    pass


def f(x):
    raise Base
