# Tries: half characters
# Verdict: wrong_answer
# Form: stdin
print("42 1 3\ud800")
