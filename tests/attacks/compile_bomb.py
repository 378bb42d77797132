# Tries: to overflow the compiler
# Verdict: error
compile("(" * 10**5 + ")" * 10**5, "bomb", "eval")
