# Tries: to use the kernel's memory up with empty files
# Verdict: output_limit
number = 0
while True:
    open(f"/tmp/{number}", "wb").close()
    number += 1
