# Tries: an IPv6 socket
# Verdict: error
import socket

socket.socket(socket.AF_INET6, socket.SOCK_STREAM)


def f(x):
    return [42, *sorted(x)]
