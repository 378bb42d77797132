# Tries: to make a device file for the disk
# Verdict: error
import os
import stat

os.mknod("/tmp/disk", stat.S_IFBLK | 0o600, os.makedev(254, 0))


def f(x):
    return [42, *sorted(x)]
