# Tries: to change the inputs of later tests
# Verdict: ok
seen = []


def f(x):
    answer = [42, *sorted(x)]
    seen.append(x)
    for each in seen:
        each.clear()
    return answer
