# Tries: to wait for itself
# Verdict: timeout
import threading

lock = threading.Lock()
lock.acquire()
lock.acquire()
