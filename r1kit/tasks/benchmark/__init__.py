"""Benchmarks of the field, asked and judged as the R1 paper does; rows from a file or the hub, none is embedded.

================  ===============================================  =====================================================
name              a row has                                        a response is judged by
================  ===============================================  =====================================================
``aime``          a problem; an answer that is a whole number      its last box, as mathematics
``math500``       a problem, an answer; level, subject             its last box, as mathematics
``gpqa``          a question, the right and three wrong answers    the letter after the last ``ANSWER:``
``mmlu_pro``      a question, a list of options, the letter        the letter after the last ``ANSWER:``
``humaneval``     a prompt, an entry point, a test                 running its last block of Python in the sandbox
``livecodebench`` question content, test cases                     running its last block of Python in the sandbox
================  ===============================================  =====================================================
"""

from __future__ import annotations
