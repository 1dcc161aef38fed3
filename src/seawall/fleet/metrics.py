"""Metrics of an edge: Envoy's own, kept within a bound, and the agent's.

Pure: text in, text out (Prometheus text format 0.0.4).
Next room: `seawall.agent.web` serves them.
"""

from collections.abc import Iterator, Mapping

_PER_BACKEND = "envoy_cluster_"
_NOT_PER_BACKEND = "envoy_cluster_manager_"
_TWICE = ("# TYPE envoy_cluster_external_", "# TYPE envoy_cluster_internal_")
"""The same requests once more, by where they came from. Envoy's own filter cannot tell them from a backend's name."""


def bounded(text: str, limit: int) -> tuple[str, int]:
    """Keep at most `limit` series, whole-edge families before those with one series a backend; count what was dropped.

    A family is kept whole or not at all where it fits: half a histogram lies.
    """
    kept: list[str] = []
    left, dropped = limit, 0
    for family in sorted(_families(text), key=_is_per_backend):
        if family[0].startswith(_TWICE):
            continue
        series = sum(1 for line in family if not line.startswith("#"))
        if series <= left:
            kept += family
            left -= series
        else:
            dropped += series
    return "".join(f"{line}\n" for line in kept), dropped


def _families(text: str) -> Iterator[list[str]]:
    family: list[str] = []
    for line in text.splitlines():
        if line.startswith("# TYPE") and family:
            yield family
            family = []
        if line:
            family.append(line)
    if family:
        yield family


def _is_per_backend(family: list[str]) -> bool:
    name = family[0].removeprefix("# TYPE ")
    return name.startswith(_PER_BACKEND) and not name.startswith(_NOT_PER_BACKEND)


def own(values: Mapping[str, tuple[str, float]]) -> str:
    """Write the agent's own metrics: name to type and value."""
    lines = [
        f"# TYPE seawall_agent_{name} {kind}\nseawall_agent_{name} {value:g}\n"
        for name, (kind, value) in values.items()
    ]
    return "".join(lines)
