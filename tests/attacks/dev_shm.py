# Tries: to use shared memory files
# Verdict: error
open('/dev/shm/left', "wb")


def f(x):
    return [42, *sorted(x)]
