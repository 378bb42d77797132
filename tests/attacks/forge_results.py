# Tries: to write results on the results pipe, then leave
# Verdict: wrong_answer
import os

os.write(3, b'{"ran":true}\n' + b'{"value":true}\n' * 3)
os._exit(0)
