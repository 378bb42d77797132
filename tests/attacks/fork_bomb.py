# Tries: to fork until nothing works
# Verdict: error
import os

while True:
    os.fork()
