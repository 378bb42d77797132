# Tries: a file of a terabyte that takes no space
# Verdict: error
import os

with open("/tmp/sparse", "wb") as file:
    os.truncate(file.fileno(), 1 << 40)
