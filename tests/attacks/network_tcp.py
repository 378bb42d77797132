# Tries: a TCP connection to this machine
# Verdict: error
import socket

socket.socket(socket.AF_INET, socket.SOCK_STREAM)


def f(x):
    return [42, *sorted(x)]
