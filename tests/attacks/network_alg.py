# Tries: the kernel's crypto sockets, an old source of holes
# Verdict: error
import socket

socket.socket(38, socket.SOCK_SEQPACKET)


def f(x):
    return [42, *sorted(x)]
