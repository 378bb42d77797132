# Tries: nothing: the control of those that begin with assert
# Form: asserts
# Verdict: ok
def f(x):
    if x is None:
        raise ValueError("a list")
    x.append(42)
    return [42, *sorted(x[:-1])]
