# Tries: to change the code that runs it, found by its frame
# Verdict: wrong_answer
import sys

frame = sys._getframe()
while frame is not None:
    if "_plain" in frame.f_globals:
        frame.f_globals["_plain"] = lambda *_: True
    frame = frame.f_back


def f(x):
    return None
