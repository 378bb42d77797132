# Tries: a raw packet socket
# Verdict: error
import socket

socket.socket(17, socket.SOCK_RAW)


def f(x):
    return [42, *sorted(x)]
