# Tries: to stop, so that no deadline of its own can end it
# Verdict: timeout
import os
import signal

os.kill(os.getpid(), signal.SIGSTOP)
