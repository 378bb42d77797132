# Tries: to leave by sys.exit before the tests
# Verdict: error
import sys

sys.exit(0)
