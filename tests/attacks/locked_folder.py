# Tries: to leave a folder that nobody may open or remove
# Verdict: ok
import os

os.makedirs("/tmp/a/b/c")
os.chmod("/tmp/a/b", 0)
os.chmod("/tmp/a", 0)


def f(x):
    return [42, *sorted(x)]
