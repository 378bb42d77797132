# Tries: to speak the runner's own protocol
# Verdict: error
import os
import struct

end = struct.pack("<cI", b"E", 22) + struct.pack("<iBdd?", 0, 0, 0.0, 0.0, False)
for descriptor in range(256):
    try:
        os.write(descriptor, end)
    except OSError:
        pass
os._exit(0)
