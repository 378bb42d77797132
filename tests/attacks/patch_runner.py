# Tries: to change the code that runs it
# Verdict: error
import __main__

__main__._plain = lambda *_: True
__main__._Results.value = None
