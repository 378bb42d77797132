# Tries: to print for ever
# Verdict: output_limit
def f(x):
    while True:
        print("x" * 1000)
