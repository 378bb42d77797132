# Tries: to print for ever, as a script
# Verdict: output_limit
# Form: stdin
while True:
    print("42 1 3")
