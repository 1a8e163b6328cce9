"""A command group that imports a command when it is called, and the edge where errors become exit codes."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Any

import click

from es_reasonrank import __version__
from es_reasonrank.errors import ReasonRankError

INTERRUPTED = 130


class LazyGroup(click.Group):
    """Commands by name: the module that holds them, and a line of help.

    A command is its module's attribute `command`, or that which is named behind a colon.
    """

    def __init__(self, name: str, *, package: str, table: Mapping[str, tuple[str, str]], help: str) -> None:
        super().__init__(
            name, help=help, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
        )
        self.package = package
        self.table = table
        self.params.append(
            click.Option(["--debug"], is_flag=True, help="Show the traceback of an internal error.", expose_value=False)
        )
        click.version_option(__version__, prog_name=name)(self)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.table:
            return None
        module, _, attribute = self.table[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(f"{self.package}.{module}"), attribute or "command")
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and args[0] not in self.table and not args[0].startswith("-"):
            close = get_close_matches(args[0], self.table, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            ctx.fail(f"No such command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in self.table.items()])


def run(group: click.Group, name: str) -> int:
    """Run the command line and return its exit code. No traceback reaches a user who did not ask for one."""
    try:
        result = group.main(prog_name=name, standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except ReasonRankError as error:
        return _fail(str(error), error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        return _fail("interrupted", INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:  # noqa: BLE001 - the last edge: what nobody foresaw is still one sentence
        if "--debug" in sys.argv:
            traceback.print_exc()
        return _fail(f"internal error ({type(error).__name__}: {error}); run {name} --debug to see where", 1)
    return _code(result)


def _code(result: Any) -> int:
    return result if isinstance(result, int) else 0


def _fail(message: str, code: int) -> int:
    click.echo(f"error: {message}", err=True)
    return code
