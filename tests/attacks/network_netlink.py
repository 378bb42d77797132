# Tries: the kernel's netlink socket
# Verdict: error
import socket

socket.socket(16, socket.SOCK_RAW)


def f(x):
    return [42, *sorted(x)]
