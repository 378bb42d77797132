# Tries: a string too large to carry
# Verdict: output_limit
def f(x):
    return "x" * (1 << 24)
