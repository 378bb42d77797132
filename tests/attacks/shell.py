# Tries: to start a shell
# Verdict: error
import subprocess


def f(x):
    return subprocess.run(["/bin/sh", "-c", "id"], capture_output=True, check=True).stdout
