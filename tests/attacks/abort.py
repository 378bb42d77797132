# Tries: to abort the interpreter
# Verdict: killed
import os

os.abort()
