# Tries: a list whose iteration never ends
# Verdict: output_limit
class Endless(list):
    def __iter__(self):
        while True:
            yield 0


def f(x):
    return Endless()
