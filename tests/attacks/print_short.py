# Tries: to print only the start of the answer
# Verdict: wrong_answer
# Form: stdin
print("42")
