# Tries: a list that holds itself
# Verdict: wrong_answer
def f(x):
    x.append(x)
    return x
