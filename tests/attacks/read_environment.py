# Tries: to find secrets among the environment's variables
# Verdict: ok
import os

found = {name for name in os.environ if "SECRET" in name or "TOKEN" in name or "KEY" in name}


def f(x):
    return found or [42, *sorted(x)]
