# Tries: a number that is unequal to itself
# Verdict: wrong_answer
def f(x):
    return [float("nan"), float("inf"), -float("inf")]
