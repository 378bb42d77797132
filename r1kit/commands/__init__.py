"""Commands of ``r1``, one file each, and what several of them need. Heavy imports live inside the functions."""
