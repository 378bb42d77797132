"""r1kit: the whole DeepSeek-R1 training system as one package and one command, ``r1``."""

__version__ = "0.1.0"
