"""`seawall render`: the Envoy configuration that a folder of manifests comes to."""

import sys
from enum import StrEnum
from typing import Annotated

import typer

from seawall.cli.options import Manifests
from seawall.cli.output import Exit, Printer, Style, print_json


class Rendering(StrEnum):
    """How to print Envoy's configuration."""

    YAML = "yaml"
    JSON = "json"


def render(
    path: Manifests,
    output: Annotated[Rendering, typer.Option("--output", "-o", help="YAML or JSON.")] = Rendering.YAML,
    kind: Annotated[
        str,
        typer.Option("--type", help="Only resources of this type, such as Cluster or Listener.", show_default=False),
    ] = "",
) -> None:
    """Print the Envoy configuration, without running anything. Private keys, API keys and passwords are left out.

    Exit code 1: the manifests have errors (`seawall check` prints them); what is valid is printed all the same.
    """
    from seawall.app.offline import Offline  # noqa: PLC0415 - loaded when needed

    loaded = Offline(path)
    resources = loaded.render(kind)
    if output is Rendering.JSON:
        print_json(resources)
    else:
        import yaml  # noqa: PLC0415 - loaded when needed

        dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
        yaml.dump(resources, sys.stdout, Dumper=dumper, sort_keys=False, allow_unicode=True, width=120)
    errors = loaded.report()["errors"]
    if errors:
        printer = Printer(sys.stderr)
        printer.line(f"{printer.paint('warning:', Style.WARNING)} {errors} errors in {path}: see seawall check {path}")
        raise typer.Exit(Exit.PROBLEMS)
