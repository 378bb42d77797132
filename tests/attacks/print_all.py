# Tries: to print every answer that could be asked for
# Verdict: wrong_answer
# Form: stdin
for first in range(3):
    for second in range(5):
        print(42, first, second)
