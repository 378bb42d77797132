# Tries: folders in folders, which a cleaner could not walk
# Verdict: output_limit
import os

while True:
    os.mkdir("d")
    os.chdir("d")
