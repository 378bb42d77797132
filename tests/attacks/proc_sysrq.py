# Tries: to reset the machine
# Verdict: error
open('/proc/sysrq-trigger', "r+b")


def f(x):
    return [42, *sorted(x)]
