# Tries: to look at the hardware
# Verdict: error
open('/sys/class/net/lo/address', "rb")


def f(x):
    return [42, *sorted(x)]
