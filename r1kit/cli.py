"""The command ``r1``, put together from ``commands/``; what goes wrong becomes one line and an exit code.

Heavy imports live inside the commands: ``r1 --help`` and ``r1 check`` load no torch.
"""

from __future__ import annotations

import errno
import os
import sys
from contextlib import contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Annotated

import typer
from typer.exceptions import TyperException

from r1kit import __version__, interrupts
from r1kit.apart import try_import
from r1kit.commands.chat import chat
from r1kit.commands.check import check
from r1kit.commands.dashboard import dashboard
from r1kit.commands.doctor import doctor
from r1kit.commands.evaluate import evaluate
from r1kit.commands.export import export
from r1kit.commands.plan import plan
from r1kit.commands.recipes import recipes
from r1kit.commands.report import report
from r1kit.commands.review import review
from r1kit.commands.run import run
from r1kit.commands.serve import serve
from r1kit.commands.status import status
from r1kit.commands.tasks import tasks
from r1kit.commands.track import track
from r1kit.commands.verify import verify
from r1kit.commands.write_tests import write_tests
from r1kit.early import INTERRUPTED
from r1kit.errors import (
    NO_HOME,
    NO_HOME_TOLD,
    InputError,
    Interrupted,
    MissingError,
    R1Error,
    is_file_limit,
    is_full_disk,
)
from r1kit.registry import guard_imports
from r1kit.report.draw.ascii import forgive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


__all__ = ["main"]

app = typer.Typer(
    help="The DeepSeek-R1 training system: point a recipe at a base model and tasks, and run it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

COMMANDS: dict[str, Callable[..., None]] = {
    "run": run,
    "recipes": recipes,
    "check": check,
    "plan": plan,
    "status": status,
    "report": report,
    "track": track,
    "dashboard": dashboard,
    "review": review,
    "eval": evaluate,
    "tasks": tasks,
    "verify": verify,
    "export": export,
    "chat": chat,
    "serve": serve,
    "doctor": doctor,
    "write-tests": write_tests,
}
"""By name, in the order of ``r1 --help``."""
for _name, _command in COMMANDS.items():
    app.command(_name)(_command)


def _tell_version(asked: bool) -> None:
    if asked:
        print(f"r1kit {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """What ``r1`` itself takes, before a command."""


def main() -> None:
    """Entry point: a user's mistake is one line on stderr and its exit code, never a traceback."""
    forgive()
    if "RANK" not in os.environ:  # what a rank imports, the command that started it has tried
        guard_imports(try_import)
    alone = "RANK" not in os.environ  # a rank's parent answers for it until it heeds signals itself
    with _one_line_errors(), interrupts.heeded() if alone else nullcontext():
        _check_folder()
        code = app(standalone_mode=False)  # typer returns the code of an Exit, and 130 for Ctrl-C
        if code == Interrupted.exit_code:
            raise Interrupted(INTERRUPTED)
        sys.exit(code)


def _check_folder() -> None:
    """Raises InputError where nothing relative can be found, and torch cannot even be loaded."""
    try:
        os.getcwd()
    except FileNotFoundError:
        raise InputError("the folder that r1 was started in is gone; change to one that is there") from None


@contextmanager
def _one_line_errors() -> Iterator[None]:
    try:
        yield
    except R1Error as error:
        print(f"r1: {error}", file=sys.stderr)
        _leave(error.exit_code)
    except TyperException as error:  # a wrong command, option or value
        if told := " ".join(error.format_message().split()):  # r1 alone has shown its help and says nothing more
            print(f"r1: {told}", file=sys.stderr)
        _leave(InputError.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        print(f"r1: {INTERRUPTED}", file=sys.stderr)
        _leave(Interrupted.exit_code)
    except RuntimeError as error:
        if str(error) != NO_HOME:
            raise
        print(f"r1: {NO_HOME_TOLD}", file=sys.stderr)
        _leave(InputError.exit_code)
    except OSError as error:
        line, code = _refused_by_system(error)
        if not line:
            raise
        print(f"r1: {line}", file=sys.stderr)
        _leave(code)


def _refused_by_system(error: OSError) -> tuple[str, int]:
    """The line and the exit code for what a user can do something about; an empty line for all else."""
    where = error.filename or "while writing"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{error.filename}: {error.strerror}; choose a place that you may use", InputError.exit_code
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return f"too many files are open ({where}); raise `ulimit -n`", MissingError.exit_code
    if error.errno == errno.ENAMETOOLONG:
        told = f"{str(where)[:40]!r}... is too long to name a file or folder, and nothing else is called so here"
        return f"{told}; was it meant for another argument?", InputError.exit_code
    if is_file_limit(error):
        told = f"a file grew as large as is allowed ({where}); raise `ulimit -f`, or write to another file system"
        return told, MissingError.exit_code
    if is_full_disk(error):
        return f"no disk space left ({where}); free some and run again", MissingError.exit_code
    return "", 0


def _leave(code: int) -> None:
    """Exit at once: a rank whose peers wait in a collective must not wait for them."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # a full disk, a closed pipe: what is left there cannot be written
            stream.flush()
    os._exit(code)
