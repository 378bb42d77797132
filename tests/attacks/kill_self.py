# Tries: to die as if the sandbox had failed
# Verdict: killed
import os
import signal

os.kill(os.getpid(), signal.SIGKILL)
