# Tries: a value that cannot be pickled
# Verdict: wrong_answer
def f(x):
    return lambda: [42, *sorted(x)]
