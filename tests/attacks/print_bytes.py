# Tries: bytes that are no text
# Verdict: wrong_answer
# Form: stdin
import os

os.write(1, b"42 1 3\xff\x00\n")
