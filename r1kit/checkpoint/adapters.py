"""LoRA adapters in peft's own format: written, looked through, and merged into the base that they name."""

from __future__ import annotations

import hashlib
import json
import math
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from r1kit.checkpoint.folder import replacing
from r1kit.checkpoint.headers import read_header, read_headers
from r1kit.errors import InputError, MissingError
from r1kit.text.ends import put_setting, read_json

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["check_fit", "is_adapter", "looked_for", "merged_adapter", "named_base", "write_adapter"]

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
PREFIX = "base_model.model."
"""What peft puts before the name of a layer."""
SNAPSHOT = re.compile(r"models--(?P<owner>[^/]+?)--(?P<name>[^/]+)/snapshots/(?P<commit>[^/]+)")
"""Where the hub's cache keeps a model."""
HARMLESS = frozenset({
    "base_model_name_or_path", "revision", "r", "lora_alpha",  # read here
    "target_modules", "exclude_modules", "layers_to_transform", "layers_pattern", "ensure_weight_tying",
    "lora_dropout", "merge_weights", "task_type", "inference_mode", "auto_mapping", "peft_version", "runtime_config",
    "megatron_config", "megatron_core", "qalora_group_size", "loftq_config", "eva_config", "corda_config",
    "lora_ga_config",
})  # fmt: skip
"""Settings of peft's (``peft.LoraConfig``, 0.21) that do not change what is merged: the weights' names say them again,
training alone knows them, or they matter with another setting only, which is refused."""
MUST = {"peft_type": ("LORA",), "bias": ("none",), "init_lora_weights": (True, "gaussian", "eva", "orthogonal", "mica")}
"""What other settings must be, where they are set; those that are in neither table must not be: then an adapter is
``s B A`` and no more. Other inits take off the base what A and B begin with, and the adapter's file does not say so."""
ANEW = ("pissa", "olora", "loftq")
"""Inits that change the base in the same way whenever peft opens the adapter (``peft.tuners.lora.layer``, 0.21)."""
NEVER = ("alora_invocation_tokens", "arrow_config", "use_qalora")
"""Settings with which what a layer does is no matrix, so that peft merges none either."""
BY_PEFT = (
    "let peft merge it: AutoPeftModelForCausalLM.from_pretrained(FOLDER).merge_and_unload().save_pretrained(MERGED)"
)


def write_adapter(
    folder: Path, weights: Mapping[str, Tensor], base: str, targets: Sequence[str], *, rank: int, alpha: float,
    dropout: float,
) -> None:  # fmt: skip
    """Write a folder that ``peft.PeftModel.from_pretrained`` opens over the base; whole or not at all.

    Args:
        weights: A and B, named as peft names them after its prefix.
        base: folder or hub name of the model that it was trained over.
        targets: of ``LoraConfig``: ends of the names of the layers.
        rank, alpha, dropout: of ``LoraConfig``.

    Raises:
        MissingError: peft is not installed.
    """
    try:
        from peft import LoraConfig
    except ImportError as error:
        raise MissingError(f"adapters are written by peft: pip install 'r1kit[peft]' ({error})") from None
    from safetensors.torch import save_file

    hub = SNAPSHOT.search(base)
    scale: Any = int(alpha) if alpha.is_integer() else alpha
    config = LoraConfig(
        r=rank, lora_alpha=scale, lora_dropout=dropout,
        target_modules=sorted(targets), task_type="CAUSAL_LM", inference_mode=True,
        base_model_name_or_path=f"{hub['owner']}/{hub['name']}" if hub else base,
        revision=hub["commit"] if hub else None,
    )  # fmt: skip
    with replacing(folder) as new:
        config.save_pretrained(str(new))
        table = read_json(new / CONFIG)
        table["target_modules"] = sorted(targets)  # a set there, whose order is another every time
        (new / CONFIG).write_text(json.dumps(table, indent=2, sort_keys=True), encoding="utf-8")
        tensors = {f"{PREFIX}{name}": weight.cpu().contiguous() for name, weight in weights.items()}
        save_file(tensors, new / WEIGHTS, metadata={"format": "pt"})


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds an adapter and not the model that it changes."""
    own = (file.name for file in folder.glob("*.safetensors"))
    return (folder / CONFIG).is_file() and all(name.startswith("adapter_") for name in own)


def base_of(folder: Path) -> tuple[str, str]:
    """The model that an adapter's config names, and its revision on the hub; empty where that is the newest.

    Raises:
        InputError: it names none, or the adapter is more than two narrow matrices a layer.
    """
    config = read_json(folder / CONFIG)
    for name in (*MUST, *config):
        value = config.get(name)
        if value and name not in HARMLESS and value not in MUST.get(name, ()):
            raise InputError(f"{folder} is an adapter with {name} = {value!r}, {_instead(name, value)}")
    base, revision = config.get("base_model_name_or_path"), config.get("revision") or ""
    if not isinstance(base, str) or not base:
        raise InputError(f"{folder}/{CONFIG} names no base_model_name_or_path; write the base's folder or name")
    if not isinstance(revision, str):
        raise InputError(f"{folder}/{CONFIG}: revision = {revision!r}; write a commit, a tag or a branch, or null")
    return base, revision


def _instead(name: str, value: Any) -> str:
    """What to do with an adapter that is not merged here."""
    if name in NEVER:
        return "which is no change of weights and cannot be merged; train one without it"
    if name == "init_lora_weights" and value not in ANEW:
        return (
            "with which training may begin from a changed base; save it again where it was trained, as a plain one: "
            "save_pretrained(FOLDER, path_initial_model_for_weight_conversion=INITIAL_ADAPTER)"
        )
    return f"which is not merged here; {BY_PEFT}"


def check_fit(folder: Path, base: Path) -> dict[str, tuple[int, int]]:
    """Each layer of an adapter and the shapes [o, r], [r, i] as (o, i).

    Raises:
        InputError: the adapter is damaged, or of another model than ``base``.
    """
    if not (folder / WEIGHTS).is_file():
        raise InputError(f"{folder} has no {WEIGHTS}; save the adapter again")
    held, of = read_header(folder / WEIGHTS), read_headers(base)
    ends = {name.removeprefix(PREFIX).rpartition(".lora_")[0] for name in held}
    rank, layers = read_json(folder / CONFIG).get("r"), {}
    if more := sorted(name for name in held if not name.endswith((".lora_A.weight", ".lora_B.weight"))):
        raise InputError(f"{folder}/{WEIGHTS} holds {more[0]}, which is not A or B of a layer; {BY_PEFT}")
    for layer in sorted(ends):
        pair = [held.get(f"{PREFIX}{layer}.lora_{which}.weight") for which in "AB"]
        if not layer or pair[0] is None or pair[1] is None or {pair[0].shape[0], pair[1].shape[-1]} != {rank}:
            raise InputError(f"{folder}/{WEIGHTS} does not hold A and B of rank {rank} for every layer; save it again")
        wanted = of.get(f"{layer}.weight")
        shape = pair[1].shape[0], pair[0].shape[-1]
        if wanted is None or tuple(wanted.shape) != shape:
            why = f"has no {layer}" if wanted is None else f"has a {layer} of {list(wanted.shape)}"
            raise InputError(
                f"{folder} is an adapter over another model than {base}: it changes {layer} of {list(shape)}, and the "
                f"model {why}; name the right base in {CONFIG}"
            )
        layers[layer] = shape
    return layers


def merged_adapter(folder: Path, resolve: Callable[[str, str], Path], cache: Path) -> Path:
    """A hub-format folder in the cache: the base with the adapter merged in, float32.

    Args:
        folder: ``is_adapter``.
        resolve: the folder of a model by name and revision.
        cache: where it is kept, by what both hold.

    Raises:
        InputError: the adapter does not fit the base that it names.
    """
    name, revision = named_base(folder)
    with looked_for(folder):
        base = resolve(name, revision)
    check_fit(folder, base)
    digest = hashlib.sha256((folder / CONFIG).read_bytes() + (folder / WEIGHTS).read_bytes())
    for file in sorted(base.iterdir()):
        there = file.stat()
        digest.update(f"{file.resolve()} {there.st_size} {there.st_mtime_ns}".encode())
    from filelock import FileLock

    merged = cache / f"merged-{folder.name}-{digest.hexdigest()[:16]}"
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(cache / f".{merged.name}.lock"):
        if not merged.exists():
            _merge(folder, base, merged)
    return merged


def named_base(folder: Path) -> tuple[str, str]:
    """``base_of``; a folder's relative name is looked up beside the adapter too."""
    base, revision = base_of(folder)
    beside = folder / base
    return str(beside) if not Path(base).expanduser().exists() and beside.is_dir() else base, revision


@contextmanager
def looked_for(folder: Path) -> Iterator[None]:
    """Within it an error about the base says who names it."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{folder}/{CONFIG} names the model that the adapter changes: {error}") from error


def _merge(folder: Path, base: Path, merged: Path) -> None:
    from r1kit.checkpoint.hub import read_tensors
    from r1kit.checkpoint.streamed import StoredWeights, write_stream
    from r1kit.model.adapter import MergedWeights

    config = read_json(folder / CONFIG)
    alpha, rank = config.get("lora_alpha", 8), config.get("r", 8)
    if not isinstance(alpha, int | float) or not math.isfinite(alpha) or not isinstance(rank, int) or rank < 1:
        raise InputError(f"{folder}/{CONFIG}: r = {rank!r} and lora_alpha = {alpha!r} must be numbers above 0")
    tensors = {name.removeprefix(PREFIX): one.float() for name, one in read_tensors(folder / WEIGHTS).items()}
    with replacing(merged) as new:
        for file in base.iterdir():
            if file.is_file() and not file.name.startswith((".", "model")) and file.suffix != ".safetensors":
                shutil.copyfile(file, new / file.name)
        write_stream(new, MergedWeights(StoredWeights(base), tensors, alpha / rank))
        put_setting(new / "config.json", "dtype", "float32")
