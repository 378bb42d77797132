# Tries: to write the memory of process 1 through /proc
# Verdict: error
open('/proc/1/mem', "r+b")


def f(x):
    return [42, *sorted(x)]
