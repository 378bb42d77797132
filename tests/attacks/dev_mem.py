# Tries: to read the machine's memory
# Verdict: error
open('/dev/mem', "rb")


def f(x):
    return [42, *sorted(x)]
