# Tries: to stop the clock that times it
# Verdict: timeout
import time

time.time = time.monotonic = time.perf_counter = time.process_time = lambda: 0.0


def f(x):
    while True:
        pass
