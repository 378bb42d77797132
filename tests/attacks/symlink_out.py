# Tries: to reach a file outside through a link in /tmp
# Verdict: error
import os

os.symlink("/etc/hostname", "/tmp/link")
open("/tmp/link").read()


def f(x):
    return [42, *sorted(x)]
