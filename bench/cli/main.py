"""The command ``bench``: finds the command, prints its errors, imports nothing it does not need."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click

from bench.errors import UserError
from bench.screen import printable

# Name to (module, one line of help): `bench --help` imports none of them.
COMMANDS = {
    "doctor": "Say whether this machine can run cells, and what to do where it cannot.",
    "list": "List what a suite may name: suites, datasets, backbones, parts, metrics.",
    "new": "Write a commented suite, or a part, that runs as it is.",
    "validate": "Check suites: every name, number and reference.",
    "plan": "List suites' cells by state: done, stale, missing, failed.",
    "fetch": "Bring the weights and data that suites need, for nodes without a network.",
    "run": "Run what is missing or stale, and resume what was interrupted.",
    "status": "Say how far suites are, and what failed or is stale and why.",
    "cancel": "Cancel what was submitted to a cluster for a store.",
    "show": "Show one cell: its settings, results, curves, log and provenance.",
    "report": "Rebuild a paper's tables from the records, as leaderboards.",
    "smoke": "Take suites from YAML to page in a few steps, and say which broke.",
    "claims": "Say whether a paper's claims hold: supported, refuted, undecided, not run.",
    "measure": "Measure networks in files or cells: print, draw, write JSON.",
    "site": "Build a static site: an index, a page a paper, a page a cell.",
    "diff": "Say what changed between two stores, profiles or leaderboards, beyond noise.",
    "verify": "Check every digest, a page against its records, and run cells again.",
    "bundle": "Pack the records behind a page into one file, for archives and other machines.",
    "import": "Take the records of bundles and other stores into this one.",
    "try": "Put a part of yours beside a suite's methods: run, compare, make a page.",
    "test-method": "Run the conformance checks on parts in a file of yours.",
    "export": "Copy the checkpoints of a suite's stages, with their records.",
    "clean": "Remove from a store what dead runners have left behind.",
    "schema": "Print the JSON Schema of suite files, for editors.",
}
EPILOG = """\b
Example:
  bench run bss/table2 --profile smoke --workers 2
  bench report bss/table2 --profile smoke
"""


class LazyGroup(click.Group):
    """A group that imports a command's module when the command is used."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command, and let nothing that it prints steer the terminal."""
        from bench.cli.printing import screen

        with screen():
            return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order in which they are used."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"bench.cli.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Resolve a command, suggesting the nearest name for an unknown one."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from bench.errors import did_you_mean

            ctx.fail(f"no such command {args[0]!r}; {did_you_mean(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=LazyGroup,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="retable", prog_name="bench")
def group() -> None:
    """Rebuild the tables of fine-tuning papers.

    A suite is a YAML file below suites/: its cells are run once, recorded, and shown in the
    paper's own table with intervals.
    """


def main() -> None:
    """Run ``bench``; a user's error is one message on stderr and exit code 2."""
    try:
        group(standalone_mode=False)
    except UserError as error:
        click.echo(f"bench: {printable(str(error))}", err=True)
        sys.exit(2)
    except click.exceptions.Abort:
        click.echo("bench: interrupted", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # `bench plan … | head` is not an error.
        sys.stderr.close()
        sys.exit(0)


if __name__ == "__main__":
    main()
