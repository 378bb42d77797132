# Tries: an error whose text never ends
# Verdict: timeout
class Evil(Exception):
    def __str__(self):
        while True:
            pass


def f(x):
    raise Evil
