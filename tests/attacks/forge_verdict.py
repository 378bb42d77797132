# Tries: to write a verdict wherever it can
# Verdict: error
import os

verdict = b'{"reward":1.0,"passed":3,"total":3,"cause":"ok"}\n'
for descriptor in range(256):
    try:
        os.write(descriptor, verdict)
    except OSError:
        pass
os._exit(0)
