# Tries: to end a loop over map(f, ...) before its first assert
# Form: asserts
# Verdict: error or wrong_answer
def f(x):
    raise StopIteration
