# Tries: to read the machine's users
# Verdict: error
open('/etc/passwd', "rb")


def f(x):
    return [42, *sorted(x)]
