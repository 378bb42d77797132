# Tries: to read a private key
# Verdict: error
open('/root/.ssh/id_rsa', "rb")


def f(x):
    return [42, *sorted(x)]
