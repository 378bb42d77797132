# Tries: to use all memory
# Verdict: memory
held = []
while True:
    held.append(bytearray(1 << 20))
