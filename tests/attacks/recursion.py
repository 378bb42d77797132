# Tries: to recurse for ever
# Verdict: error
def f(x):
    return f(x)
