# Tries: to become an interpreter without limits
# Verdict: error
import os
import sys

os.execv(sys.executable, [sys.executable, "-c", "print(1)"])
