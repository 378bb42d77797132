"""Open lists: a name of ours, ``FILE.py:NAME`` or ``package.module:NAME`` -> the thing itself.

Tasks, rewards, stages and corpora are all found here, ours and a user's alike. A list of ours is a table of strings, so
nothing is imported before it is asked for. A user's file is imported once, under a name of its own; what lies beside it
can be imported by it, unless a file of the same name beside another user's file would come in its place.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

from r1kit import __version__
from r1kit.errors import InputError, R1Error, nearest
from r1kit.users_code import INSTALLED, blame, know, users_places

__all__ = [
    "code_digests", "compared", "digest", "digests", "find", "guard_imports", "import_only", "is_reference",
    "names_code", "short", "sources", "split_reference",
]  # fmt: skip

IMPORT_SECONDS = 120.0
_OF = " of "
"""Between a file's name and the setting that it is of."""
_REFERENCE = re.compile(r"(?P<place>.+\.py|[A-Za-z_]\w*(\.[A-Za-z_]\w*)*):(?P<name>[A-Za-z_]\w*)")
_FILES: dict[Path, ModuleType] = {}
_GUARDS: list[Callable[[Path], object]] = []


def is_reference(text: str) -> bool:
    """Whether a text is ``FILE.py:NAME`` or ``package.module:NAME``."""
    return _REFERENCE.fullmatch(text) is not None


def names_code(value: Any) -> bool:
    """Whether plain settings name code of a user's anywhere: it may end the process that it runs in."""
    if isinstance(value, Mapping):
        return any(names_code(item) for pair in value.items() for item in pair)
    return any(map(names_code, value)) if isinstance(value, list) else isinstance(value, str) and is_reference(value)


def split_reference(text: str) -> tuple[str, str]:
    """(file or module, name) of a reference."""
    match = _REFERENCE.fullmatch(text)
    assert match is not None, text
    return match["place"], match["name"]


def short(text: str) -> str:
    """A reference without the folders of its file: ``my_rewards.py:brevity``; any other text as it is."""
    if not is_reference(text):
        return text
    place, name = split_reference(text)
    return f"{Path(place).name if place.endswith('.py') else place}:{name}"


def find(reference: str, known: Mapping[str, str], what: str, where: str = "") -> Any:
    """The thing that a recipe names.

    Args:
        reference: a key of ``known``, ``FILE.py:NAME`` (relative to the working folder) or ``package.module:NAME``.
        known: the names of ours, each with its ``module:NAME``.
        what: what is looked for, for messages: ``reward``.
        where: what names it, for messages: ``stages.r1_zero.reward.parts``.

    Raises:
        InputError: there is no such thing, or its file or module cannot be imported; the line says where and why.
    """
    if reference in known:
        place, name = split_reference(known[reference])
        return getattr(importlib.import_module(place), name)
    said = f"{where}: " if where else ""
    if not is_reference(reference):
        raise InputError(
            f"{said}{what} {reference!r} is unknown; known are {', '.join(known)}, or write FILE.py:NAME for one of "
            f"your own.{nearest(reference, known)}"
        )
    place, name = split_reference(reference)
    module = _load_file(Path(place), said) if place.endswith(".py") else _load_module(place, said)
    if not hasattr(module, name):
        public = [each for each in vars(module) if not each.startswith("_")]
        raise InputError(f"{said}{place} has no {name!r}.{nearest(name, public)}")
    return getattr(module, name)


def guard_imports(guard: Callable[[Path], object]) -> None:
    """Have a user's file tried elsewhere before this process imports it; ``guard`` raises InputError for a bad one."""
    if guard not in _GUARDS:
        _GUARDS.append(guard)


def import_only(path: Path, announce: Callable[[str, float], None]) -> None:
    """Import a user's file, as ``apart.run_apart`` calls it."""
    announce(f"importing {path.name}", IMPORT_SECONDS)
    _load_file(path, "")


def _load_file(path: Path, said: str) -> ModuleType:
    """The module of a user's file, imported once a process."""
    path = path.absolute()
    if path in _FILES:
        return _FILES[path]
    if not path.is_file():
        raise InputError(f"{said}no such file: {path}")
    for guard in _GUARDS:
        try:
            guard(path)
        except InputError as error:
            raise InputError(f"{said}{error}") from error
    folder = str(path.parent)
    if folder not in sys.path:
        sys.path.append(folder)  # last, so that a file there called random.py hides nothing
    know(folder)
    called = f"r1kit_user_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}_{path.stem}"
    spec = importlib.util.spec_from_file_location(called, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[called] = module  # dataclasses and pickle look a class's module up
    try:
        _check_beside(path, said)
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[called]
        raise _broken(error, path.parent, said, path.name) from error
    _FILES[path] = module
    return module


def _check_beside(path: Path, said: str) -> None:
    """Refuse a user's file that would get another one's helper instead of what it imports from beside it: Python keeps
    one module of a name. Helpers that hold the same are one."""
    for file in sources(path):
        place = file.relative_to(path.parent).with_suffix("")
        parts = place.parent.parts if place.name == "__init__" else place.parts
        found = _file_of(".".join(parts)) if parts and file != path else None
        if found is None or not found.is_file() or found.read_bytes() == file.read_bytes():
            continue
        for base in (Path(place, *parts) for place in users_places()):
            if found in (base.with_suffix(".py"), base / "__init__.py"):
                raise InputError(
                    f"{said}{path.name} imports {file} from beside it, but {found}, beside another file of yours, has "
                    f"the same name and would be imported instead; rename one of the two"
                )


def _file_of(module: str) -> Path | None:
    """The file that an import of this module would take; none is imported to tell."""
    name, *inner = module.split(".")
    try:
        spec = importlib.util.find_spec(name)
    except ValueError:  # a module without a spec, as __main__ may be
        return None
    for each in inner:  # by its last name alone: of a folder without an __init__.py the whole one asks for the import
        spec = PathFinder.find_spec(each, spec.submodule_search_locations or []) if spec else None
    return Path(spec.origin) if spec and spec.origin else None


def _load_module(name: str, said: str) -> ModuleType:
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            raise InputError(f"{said}no module {error.name!r} is installed here") from None
        raise InputError(f"{said}{name} needs the module {error.name!r}, which is not installed here") from None
    except (Exception, SystemExit) as error:
        found = importlib.util.find_spec(name)
        folder = Path(found.origin).parent if found and found.origin else Path()
        raise _broken(error, folder, said) from error
    outermost = sys.modules[name.partition(".")[0]]
    for place in getattr(outermost, "__path__", [outermost.__file__ or ""]):
        know(place)
    return module


def _broken(error: BaseException, folder: Path, said: str, name: str = "") -> R1Error:
    """What an import that failed is told as; an error of ours passes through. ``name``: of the file, where no line of
    it is to blame."""
    if isinstance(error, R1Error):
        return error
    told = blame(error, folder)
    return InputError(said + (told if not name or re.match(r"\S+\.py:\d+: ", told) else f"{name}: {told}"))


# ---- what a file consists of --------------------------------------------------------------------------------------


def sources(path: Path, root: Path | None = None) -> list[Path]:
    """A user's file and what it imports from beside it, found by reading, not by running; in a fixed order.

    Args:
        root: of a module in packages, the folder of the outermost one; their ``__init__.py`` belong to it.
    """
    path = path.absolute()
    root = root or path.parent
    found: list[Path] = []
    above = [folder for folder in path.parents if folder != root and folder.is_relative_to(root)]
    todo = [path, *(folder / "__init__.py" for folder in above)]
    while todo:
        file = todo.pop()
        if file in found or not file.is_file():
            continue
        found.append(file)
        todo += _beside(file, root)
    return sorted(found)


def _beside(file: Path, root: Path) -> Iterator[Path]:
    """Files that this one's imports name, where they lie below ``root``, the folder of the first file: a plain import
    may mean one in its own folder, or in ``root``."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        for name, level in _imported(node):
            folder = file.parents[min(level or 1, len(file.parents)) - 1]
            if folder.is_relative_to(root):
                yield from _named_below(folder, name)
                if level:
                    yield folder / "__init__.py"
            if not level and folder != root:
                yield from _named_below(root, name)


def _named_below(folder: Path, name: str) -> Iterator[Path]:
    """Where a module may lie, and the packages on its way."""
    parts = name.split(".")
    yield folder.joinpath(*parts).with_suffix(".py")
    yield from (folder.joinpath(*parts[:depth], "__init__.py") for depth in range(1, len(parts) + 1))


def _imported(node: ast.AST) -> Iterator[tuple[str, int]]:
    """(name, dots before it) of what an import may name."""
    if isinstance(node, ast.Import):
        yield from ((alias.name, 0) for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        first = [node.module] if node.module else []
        names = [*first, *(".".join([*first, alias.name]) for alias in node.names if alias.name != "*")]
        yield from ((name, node.level) for name in names)


def digest(reference: str) -> str:
    """16 hex digits of the content that a reference stands for; of an installed package, its version."""
    if (version := _version(reference)) is not None:
        return version
    files, root = _files(reference)
    whole = hashlib.sha256()
    for file in files:
        whole.update(str(file.relative_to(root)).encode() + b"\0" + file.read_bytes() + b"\0")
    return whole.hexdigest()[:16] if files else ""


def digests(reference: str) -> dict[str, str]:
    """Of each file that a reference stands for, by its name below the folder that it is imported from; of an installed
    package its version."""
    if (version := _version(reference)) is not None:
        return {split_reference(reference)[0]: version}
    files, root = _files(reference)
    return {str(file.relative_to(root)): _of_bytes(file) for file in files}


def _files(reference: str) -> tuple[list[Path], Path]:
    """(what a reference stands for, the folder that it is imported from); no file where none is found."""
    place, _ = split_reference(reference)
    if place.endswith(".py"):
        path = Path(place).absolute()
        return sources(path), path.parent
    found = _file_of(place)
    if found is None or not found.is_file():
        return [], Path()
    path = found.absolute()
    root = path.parents[place.count(".") + (path.name == "__init__.py")]
    return sources(path, root), root


def code_digests(references: Mapping[str, str]) -> dict[str, str]:
    """``digests`` of all the code that a stage names; of files of one name that differ, each by its setting too.

    Args:
        references: dotted setting -> reference.
    """
    found = {text: digests(text) for text in sorted({*references.values()})}
    names = [name for name, _ in {item for files in found.values() for item in files.items()}]
    return {
        name if names.count(name) == 1 else f"{name}{_OF}{where}": held
        for where, text in sorted(references.items(), key=lambda item: item[1])
        for name, held in found[text].items()
    }


def compared(old: Mapping[str, str], new: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Two ``code_digests`` under the same names, for a person: where one tells a name by its settings, so does the
    other."""
    names = [*old, *new]
    shared = {name.partition(_OF)[0] for name in names if _OF in name}

    def spelled(code: Mapping[str, str]) -> dict[str, str]:
        found = {name: code.get(name) or code.get(name.partition(_OF)[0]) for name in names if name not in shared}
        return {name.replace(f"{_OF}settings.", _OF).removesuffix("#"): held for name, held in found.items() if held}

    return spelled(old), spelled(new)


def _of_bytes(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16]


def _version(reference: str) -> str | None:
    """Of ours, of Python, of an installed package; None for code that is worked on: a file, a module that is found
    beside it, a package installed as a link to its folder (``pip install -e``)."""
    from importlib import metadata

    place, _ = split_reference(reference)
    if place.startswith("r1kit."):
        return __version__
    if place.endswith(".py"):
        return None
    top = place.partition(".")[0]
    if top in sys.stdlib_module_names:
        return sys.version.split()[0]
    if (found := _file_of(place)) is None or not INSTALLED & {*found.parts}:
        return None
    with suppress(metadata.PackageNotFoundError):
        return metadata.version(top)
    return None
