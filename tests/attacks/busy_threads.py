# Tries: more processor time than wall clock
# Verdict: timeout
import hashlib
import threading


def work():
    while True:
        hashlib.sha256(bytes(1 << 22))


for _ in range(8):
    threading.Thread(target=work).start()


def f(x):
    work()
