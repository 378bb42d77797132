# Tries: half characters that cannot be written as UTF-8
# Verdict: wrong_answer
def f(x):
    return "\ud800\udfff\x00" * 3
