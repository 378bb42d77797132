# Tries: a number too long to write
# Verdict: output_limit
def f(x):
    return 1 << (1 << 26)
