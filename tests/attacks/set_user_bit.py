# Tries: to make a program that runs with more rights
# Verdict: ok
import os

try:
    with open("/tmp/tool", "wb") as file:
        file.write(b"#!/bin/sh")
    os.chmod("/tmp/tool", 0o4755)
    os.execv("/tmp/tool", ["/tmp/tool"])
except OSError:
    pass


def f(x):
    return [42, *sorted(x)]
