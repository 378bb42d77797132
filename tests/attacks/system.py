# Tries: to start a shell the other way
# Verdict: ok
import os


def f(x):
    return [42, *sorted(x)] if os.system("true") else "a shell ran"
