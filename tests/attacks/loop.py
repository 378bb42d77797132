# Tries: to run for ever
# Verdict: timeout
def f(x):
    while True:
        pass
