# Tries: to leave by sys.exit within a test
# Verdict: error
import sys


def f(x):
    sys.exit(0)
