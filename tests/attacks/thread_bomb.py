# Tries: threads without end
# Verdict: error
import threading
import time

threading.stack_size(32768)
while True:
    threading.Thread(target=time.sleep, args=(60,)).start()
