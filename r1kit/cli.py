"""The command ``r1``. Heavy imports live inside the commands: ``r1 --help`` and ``r1 check`` load no torch."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer.exceptions import TyperException

from r1kit.commands.chat import chat
from r1kit.commands.doctor import doctor
from r1kit.commands.evaluate import evaluate
from r1kit.commands.export import export
from r1kit.commands.plan import plan
from r1kit.commands.tasks import tasks
from r1kit.commands.verify import verify
from r1kit.commands.write_tests import write_tests
from r1kit.errors import InputError, Interrupted, MissingError, R1Error, is_full_disk
from r1kit.report.draw.ascii import forgive

if TYPE_CHECKING:
    from collections.abc import Iterator


__all__ = ["main"]

app = typer.Typer(
    help="The DeepSeek-R1 training system: point a recipe at a base model and tasks, and run it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Overrides = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a recipe key.")]


@app.command()
def run(
    recipe: Annotated[str, typer.Argument(help="A shipped recipe's name or a TOML path.")] = "nano",
    out: Annotated[Path | None, typer.Option(help="Run folder; default runs/RECIPE.")] = None,
    overrides: Overrides = None,
    until: Annotated[str, typer.Option(help="Stop after this stage.")] = "",
    seed: Annotated[int | None, typer.Option(help="Overrides the recipe's seed.")] = None,
    ranks: Annotated[int | None, typer.Option(help="Processes side by side; 0: one a core or GPU.")] = None,
) -> None:
    """Run a recipe; a finished or killed run with the same --out goes on where it stopped."""
    from r1kit import launcher

    changes = list(overrides or [])
    changes += [f"seed={seed}"] if seed is not None else []
    changes += [f"ranks={ranks}"] if ranks is not None else []
    launcher.run(recipe, out, changes, until)


@app.command()
def recipes() -> None:
    """List the shipped recipes: what, hardware, time, expected result."""
    from r1kit.recipe import load_recipe, shipped_recipes

    for name in shipped_recipes():
        found = load_recipe(name)
        typer.echo(f"{name}: {found.summary}.\n  {found.hardware}, {found.time}; expect: {found.expect}")


@app.command()
def check(
    recipe: Annotated[str, typer.Argument(help="A shipped recipe's name or a TOML path.")],
    overrides: Overrides = None,
) -> None:
    """Resolve every name, path, batch division and option without loading a model."""
    from r1kit.checks import check_recipe
    from r1kit.recipe import load_recipe

    found = load_recipe(recipe, overrides or [])
    check_recipe(found)
    typer.echo(f"{found.name}: ok. Stages: {' -> '.join(found.stages)}. Tasks: {', '.join(found.tasks) or 'none'}.")


@app.command()
def status(folder: Annotated[Path, typer.Argument(metavar="DIR")]) -> None:
    """Where a run stands."""
    from rich.console import Console

    from r1kit.report.terminal import print_status

    print_status(folder, Console())


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR")],
    without_language: Annotated[
        Path | None,
        typer.Option(metavar="DIR2", help="A run without the language reward, to draw its language consistency too."),
    ] = None,
) -> None:
    """Write DIR/report.html: one file that opens offline."""
    from r1kit.report.page import write_report

    typer.echo(str(write_report(folder, without_language)))


app.command("eval")(evaluate)
app.command("write-tests")(write_tests)
for command in (tasks, verify, export, chat, plan, doctor):
    app.command()(command)


def main() -> None:
    """Entry point: a user's mistake is one line on stderr and its exit code, never a traceback."""
    forgive(sys.stdout, sys.stderr)
    with _one_line_errors():
        code = app(standalone_mode=False)  # typer returns the code of an Exit, and 130 for Ctrl-C
        if code == Interrupted.exit_code:
            raise Interrupted("interrupted; run the same command to go on")
        sys.exit(code)


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
        print("r1: interrupted; run the same command to go on", file=sys.stderr)
        _leave(130)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            print(f"r1: {error.filename}: {error.strerror}; choose a place that you may use", file=sys.stderr)
            _leave(InputError.exit_code)
        if not is_full_disk(error):
            raise
        print(f"r1: no disk space left ({error.filename or 'while writing'}); free some and run again", file=sys.stderr)
        _leave(MissingError.exit_code)


def _leave(code: int) -> None:
    """Exit at once: a rank whose peers wait in a collective must not wait for them."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
