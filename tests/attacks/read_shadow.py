# Tries: to leave by dot-dot
# Verdict: error
open('/tmp/../../../../etc/shadow', "rb")


def f(x):
    return [42, *sorted(x)]
