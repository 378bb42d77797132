# Tries: to fill the disk with many middling files
# Verdict: error
for number in range(64):
    with open(f"/tmp/{number}", "wb") as file:
        file.write(bytes(1 << 20))
