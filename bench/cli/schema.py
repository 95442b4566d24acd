"""``bench schema``."""

from __future__ import annotations

import json

import click

EPILOG = """\b
Example:
  bench schema > .suite.schema.json
  # first line of a suite: # yaml-language-server: $schema=../../.suite.schema.json
"""


@click.command("schema", epilog=EPILOG)
def command() -> None:
    """Print the JSON Schema of suite files, for editors."""
    from bench.spec.schema import suite_schema

    click.echo(json.dumps(suite_schema(), indent=2, sort_keys=True))
