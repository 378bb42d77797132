# Tries: posix_spawn
# Verdict: error
import os
import sys

os.posix_spawn(sys.executable, [sys.executable, "-c", "while True: pass"], {})
