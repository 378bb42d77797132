# Tries: a value nested too deep for the reader
# Verdict: wrong_answer
def f(x):
    for _ in range(10**5):
        x = [x]
    return x
