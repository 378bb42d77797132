# Tries: to leave at once with exit code 0
# Verdict: error
import os

os._exit(0)
