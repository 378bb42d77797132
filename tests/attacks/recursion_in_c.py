# Tries: to overflow the C stack
# Verdict: killed
nested = ()
for _ in range(2 * 10**6):
    nested = (nested,)


def f(x):
    return hash(nested)
