"""Code tasks: programs judged by running them on hidden tests, behind walls (``r1kit.sandbox``).

================  ================================================================================================
``list_ops``      the nano world's: a sentence of list steps, answered with one line of Python; has a corpus
``humaneval``     HumanEval's format (and HumanEval+'s): a signature with its docstring
``mbpp``          MBPP's format (and MBPP+'s): a sentence with one assert as an example
``bugfix``        broken programs, each with tests that fail
``stdio``         problems with inputs and outputs: programs that read and print, or functions; ``apps`` (and TACO),
                  ``livecodebench``, ``codecontests`` and ``verification_info`` (open-r1) are read alike
``auto``          whichever of these a row's columns tell
================  ================================================================================================

What the verdict does not cover: a program that recognises inputs and holds their answers is right on those
(``list_ops`` draws its inputs for each prompt, the files hold theirs).
"""

from __future__ import annotations

from r1kit.tasks.code.config import FORMATS, CodeConfig
from r1kit.tasks.code.files.task import CodeFile

__all__ = ["FORMATS", "CodeConfig", "CodeFile"]
