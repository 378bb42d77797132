# Tries: to kill its process group and its session
# Verdict: killed
import os
import signal

os.killpg(0, signal.SIGKILL)
