# Tries: a socket to the machine's host
# Verdict: error
import socket

socket.socket(40, socket.SOCK_STREAM)


def f(x):
    return [42, *sorted(x)]
