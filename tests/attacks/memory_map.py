# Tries: mappings instead of objects
# Verdict: error
import mmap

held = [mmap.mmap(-1, 1 << 30) for _ in range(64)]
