# Tries: one huge object
# Verdict: memory
def f(x):
    return "a" * 10**11
