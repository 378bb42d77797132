# Tries: to fill the disk with one file
# Verdict: error
with open("/tmp/large", "wb") as file:
    while True:
        file.write(bytes(1 << 20))
