# Tries: to drown the tests in values
# Form: asserts
# Verdict: error or wrong_answer or output_limit
def f(x):
    return ["x" * 1000] * 10**5
