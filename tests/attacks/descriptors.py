# Tries: to use all descriptors
# Verdict: error
held = [open("/dev/null") for _ in range(10**4)]
