# Tries: to die by a signal without a name
# Verdict: killed
import os

os.kill(os.getpid(), 40)
