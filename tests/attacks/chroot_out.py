# Tries: the old way out of a chroot
# Verdict: error
import os

os.mkdir("/tmp/inner")
os.chroot("/tmp/inner")


def f(x):
    return [42, *sorted(x)]
