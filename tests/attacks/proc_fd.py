# Tries: to reopen the pipes of process 1
# Verdict: error
open('/proc/1/fd/1', "r+b")


def f(x):
    return [42, *sorted(x)]
