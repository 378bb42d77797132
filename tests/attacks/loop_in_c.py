# Tries: to run for ever where no Python code can be interrupted
# Verdict: timeout
def f(x):
    return 9**9**9
