# Tries: to use no processor time and never end
# Verdict: timeout
import time


def f(x):
    time.sleep(10**6)
