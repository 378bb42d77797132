# Tries: a thread that goes on writing answers after the end
# Verdict: wrong_answer
import os
import threading


def write():
    while True:
        os.write(3, b'{"value":[42,1,3]}\n')


def f(x):
    threading.Thread(target=write, daemon=True).start()
    return [42]
