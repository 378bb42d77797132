# Tries: memory in pipes, which no address-space limit counts
# Verdict: error
import fcntl
import os

held = []
while True:
    read, write = os.pipe()
    os.set_blocking(write, False)
    fcntl.fcntl(write, 1031, 1 << 20)
    os.write(write, bytes(1 << 20))
    held.append((read, write))
