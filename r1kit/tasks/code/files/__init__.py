"""Code problems from JSONL files: the formats of HumanEval and MBPP, contests that read and print, and bugs to fix."""

from r1kit.tasks.code.files.task import CodeFile

__all__ = ["CodeFile"]
