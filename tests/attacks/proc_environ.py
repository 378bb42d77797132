# Tries: to read the environment of process 1 in /proc
# Verdict: error
open('/proc/1/environ', "rb")


def f(x):
    return [42, *sorted(x)]
