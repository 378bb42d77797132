# Tries: a value too large to carry
# Verdict: output_limit
def f(x):
    return [0] * 10**7
