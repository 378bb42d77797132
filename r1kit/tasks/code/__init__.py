"""Code tasks: programs judged by running them on hidden tests, behind walls (``r1kit.sandbox``).

================  ================================================================================================
``list_ops``      the nano world's: a sentence of list steps, answered with one line of Python; has a corpus
``humaneval``     JSONL in HumanEval's format: a signature with its docstring
``mbpp``          JSONL in MBPP's format: a sentence with one assert as an example
``stdio``         JSONL of contest problems: programs that read standard input and print
``bugfix``        JSONL of broken programs, each with tests that fail
================  ================================================================================================

What the verdict does not cover: a program that recognises inputs and holds their answers is right on those
(``list_ops`` draws its inputs for each prompt, the files hold theirs); a test in another form than ``assert call ==
value`` is decided inside the sandbox (``files/asserts.py``).
"""

from __future__ import annotations

from r1kit.tasks.code.config import GENERATORS, CodeConfig
from r1kit.tasks.code.files.task import CodeFile

__all__ = ["GENERATORS", "CodeConfig", "CodeFile"]
