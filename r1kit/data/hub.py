"""Data sets of the hub by name, from its cache where there is no network, and folders that ``datasets`` reads.

One request asks whether the data set is there and which commit is the newest; that commit is what is read. Without a
network the newest copy in the cache is taken: one that ``datasets`` has prepared, or a snapshot (``hf download NAME
--repo-type dataset``).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from r1kit.data.narrow import as_tables
from r1kit.data.settings import Reading
from r1kit.data.split_names import pick_split
from r1kit.errors import InputError, MissingError, first_line
from r1kit.files import Line

__all__ = ["Loaded", "is_clone", "is_saved", "load_folder", "load_hub", "newest_commit"]

SECONDS = 10.0
"""That the hub is waited for."""
_SUBSETS = re.compile(r"(?:[Aa]vailable(?: configs)?(?: in the cache)?|configurations in the cache): (.+)")
"""How ``datasets`` lists the subsets that there are."""
BATCH = 256
"""Rows that are in memory at once."""


class Loaded(NamedTuple):
    """A split of a data set."""

    where: str
    """``openai/gsm8k[train]``."""
    items: Callable[[], Iterator[Line]]
    digest: str
    """What tells its content: the commit, or the hash under which ``datasets`` prepared it."""
    splits: tuple[str, ...]


def load_hub(name: str, reading: Reading, also: str = "") -> Loaded:
    """A split of a data set by its hub name; ``also``: what else the name could have been, for messages.

    Raises:
        InputError: there is no such data set, subset, split or revision.
        MissingError: it is not in the cache and cannot be fetched, or asks for a login; ``datasets`` is not installed.
    """
    datasets = _datasets()
    revision = _newest(name, reading, also)
    try:
        if revision:
            return _load(datasets, name, name, reading, revision)
        with _offline(datasets):
            return _load(datasets, name, name, reading, "")
    except _failures(datasets) as error:
        folder = None if revision else _snapshot(name, reading)
        if folder is None:
            raise _told(error, name, reading, bool(revision)) from None
    try:
        return _load(datasets, str(folder), name, reading, "", folder.name)
    except _failures(datasets) as error:
        raise _told(error, name, reading, False) from None


def _failures(datasets: Any) -> tuple[type[Exception], ...]:
    return (OSError, ValueError, RuntimeError, KeyError, datasets.exceptions.DatasetsError)


@cache
def newest_commit(name: str, revision: str) -> str:
    """The commit that would be read now; empty where the hub is not reached, or has no such data set."""
    with suppress(InputError, MissingError):
        return _newest(name, Reading(revision=revision), "")
    return ""


def _newest(name: str, reading: Reading, also: str) -> str:
    """The commit that the hub has; empty where the hub is not reached.

    Raises:
        InputError: the hub has no such data set or revision.
        MissingError: it asks for a login.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        found = HfApi().dataset_info(name, revision=reading.revision or None, timeout=SECONDS)
        if found.gated and not _may_read(name, str(found.sha)):
            raise MissingError(f"{name} asks for a login; accept its terms, then run 'hf auth login'")
        return str(found.sha)
    except (HFValidationError, RepositoryNotFoundError) as error:
        if isinstance(error, GatedRepoError):
            raise MissingError(f"{name} asks for a login; accept its terms, then run 'hf auth login'") from None
        raise InputError(f"no data set {name!r} on the hub{also}") from None
    except RevisionNotFoundError:
        raise InputError(f"{name} has no revision {reading.revision!r}; leave it out for the newest") from None
    except (HfHubHTTPError, OSError):  # a server that fails is like none
        return ""
    except Exception as error:
        if "ConnectError" in type(error).__name__ or "Timeout" in type(error).__name__:  # of the hub's own HTTP library
            return ""
        raise


def _may_read(name: str, revision: str) -> bool:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError

    try:
        HfApi().auth_check(name, repo_type="dataset")
    except GatedRepoError:
        return False
    return True


def _load(datasets: Any, path: str, name: str, reading: Reading, revision: str, digest: str = "") -> Loaded:
    options = {"revision": revision} if revision else {}
    builder = datasets.load_dataset_builder(path, reading.subset or None, **options)
    splits = tuple(builder.info.splits or ()) or tuple(
        datasets.get_dataset_split_names(path, reading.subset or None, **options)
    )
    split = pick_split(name, reading.split, splits)
    with _quiet(datasets):
        data = datasets.load_dataset(path, reading.subset or None, split=split, streaming=reading.streaming, **options)
    where = f"{name}[{split}]"
    commit = revision or digest or str(builder.hash or "")
    return Loaded(where, lambda: _rows(data, where), f"{commit}/{builder.config.name}/{split}", splits)


def _rows(data: Any, where: str) -> Iterator[Line]:
    number = 0
    for batch in data.with_format("arrow").iter(batch_size=BATCH):
        for table in as_tables(batch):
            number += 1
            yield Line(f"{where} row {number}", number, table)


def _snapshot(name: str, reading: Reading) -> Path | None:
    """A copy of the data set's files in the hub's cache."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    try:
        return Path(
            snapshot_download(name, repo_type="dataset", revision=reading.revision or None, local_files_only=True)
        )
    except (OSError, ValueError, HFValidationError):
        return None


def _told(error: BaseException, name: str, reading: Reading, reached: bool) -> InputError | MissingError:
    """What a user is told where ``datasets`` cannot load."""
    if subsets := _SUBSETS.search(str(error)):
        asked = f"no subset {reading.subset!r}" if reading.subset else "several subsets"
        place = "" if reached else " in the cache"
        there = re.sub(r"[\[\]'\"]", "", subsets[1])[:300]
        return InputError(f'{name} has {asked}{place}; write subset = "...", one of {there}')
    if reached:
        return InputError(f"{name} cannot be read: {first_line(error)}")
    return MissingError(
        f"{name} is no file or folder here; as a data set it is not in the cache, and the hub is not reached: fetch it "
        f"where there is a network with 'hf download {name} --repo-type dataset'"
    )


@contextmanager
def _offline(datasets: Any) -> Iterator[None]:
    """``datasets`` looks into its cache at once, in place of asking the hub again and again."""
    before, datasets.config.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE, True
    try:
        yield
    finally:
        datasets.config.HF_HUB_OFFLINE = before


@contextmanager
def _quiet(datasets: Any) -> Iterator[None]:
    """Progress is drawn on a terminal only."""
    shown = sys.stderr.isatty() or datasets.are_progress_bars_disabled()
    if not shown:
        datasets.disable_progress_bars()
    try:
        yield
    finally:
        if not shown:
            datasets.enable_progress_bars()


def _datasets() -> Any:
    try:
        import datasets
    except ImportError:
        raise MissingError(
            "data sets of the hub are read with the datasets package: pip install 'r1kit[data]'"
        ) from None
    datasets.utils.logging.set_verbosity_error()
    return datasets


# ---- folders ---------------------------------------------------------------------------------------------------------


def is_saved(folder: Path) -> bool:
    """Whether ``save_to_disk`` of ``datasets`` wrote the folder."""
    return (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file()


def is_clone(folder: Path) -> bool:
    """Whether the folder is a hub data set's, with a card that says which files are which subset and split."""
    card = folder / "README.md"
    if not card.is_file():
        return False
    text = card.read_text(encoding="utf-8", errors="replace")
    return text.startswith("---") and "\nconfigs:" in text.partition("\n---")[0]


def load_folder(folder: Path, reading: Reading) -> Loaded:
    """A split of a folder that is saved, or a hub data set's. Raises as ``load_hub`` does."""
    datasets = _datasets()
    name = str(folder)
    try:
        if is_clone(folder):
            return _load(datasets, name, name, reading, "")
        data = datasets.load_from_disk(name)
        splits = tuple(data) if isinstance(data, datasets.DatasetDict) else ("train",)
        split = pick_split(name, reading.split, splits)
        where = f"{name}[{split}]" if len(splits) > 1 else name
        data = data[split] if isinstance(data, datasets.DatasetDict) else data
    except _failures(datasets) as error:
        raise _told(error, name, reading, True) from None
    return Loaded(where, lambda: _rows(data, where), str(data._fingerprint), splits)
