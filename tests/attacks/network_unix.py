# Tries: a unix socket, to reach a daemon outside
# Verdict: error
import socket

socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)


def f(x):
    return [42, *sorted(x)]
