# Tries: to write on standard error for ever
# Verdict: timeout
import sys

while True:
    sys.stderr.write("x" * 1000)
