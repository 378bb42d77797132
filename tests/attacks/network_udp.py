# Tries: a datagram to a name server
# Verdict: error
import socket

socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


def f(x):
    return [42, *sorted(x)]
