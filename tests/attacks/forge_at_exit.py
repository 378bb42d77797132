# Tries: to print the answer in an exit function, after a wrong one
# Verdict: wrong_answer
# Form: stdin
import atexit

atexit.register(print, "42 1 3")
print("wrong")
