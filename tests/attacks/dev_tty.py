# Tries: to write to the user's terminal
# Verdict: error
open('/dev/tty', "r+b")


def f(x):
    return [42, *sorted(x)]
