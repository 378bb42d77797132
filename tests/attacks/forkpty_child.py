# Tries: a child with a terminal of its own
# Verdict: error
import os

os.forkpty()
