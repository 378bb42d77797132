# Tries: to fill the results pipe
# Verdict: output_limit
import os

while True:
    os.write(3, b"x" * 4096)
