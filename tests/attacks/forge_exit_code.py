# Tries: to print the right answer and fail
# Verdict: error
# Form: stdin
import sys

print("42 1 3")
sys.exit(3)
