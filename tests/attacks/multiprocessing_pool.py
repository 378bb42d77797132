# Tries: worker processes
# Verdict: error
import multiprocessing


def f(x):
    with multiprocessing.get_context("fork").Pool(4) as pool:
        return pool.map(abs, x)
