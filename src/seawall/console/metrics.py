"""Metrics in Prometheus' text format, version 0.0.4. Only formats; `app.serve` counts."""

from collections.abc import Iterable
from typing import Literal

import msgspec


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """A metric with its samples: labels (as pairs) and value. The name has no prefix."""

    name: str
    help: str
    type: Literal["counter", "gauge"] = "gauge"
    samples: tuple[tuple[tuple[tuple[str, str], ...], float], ...]


def gauge(name: str, help_text: str, value: float) -> Metric:
    return Metric(name=name, help=help_text, samples=(((), value),))


def counter(name: str, help_text: str, value: float) -> Metric:
    return Metric(name=name, help=help_text, type="counter", samples=(((), value),))


def text(metrics: Iterable[Metric]) -> str:
    """Write metrics down."""
    return "".join(line for metric in metrics for line in _lines(metric))


def _lines(metric: Metric) -> Iterable[str]:
    name = f"seawall_{metric.name}"
    yield f"# HELP {name} {metric.help}\n"
    yield f"# TYPE {name} {metric.type}\n"
    for labels, value in metric.samples:
        inside = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels)
        yield f"{name}{{{inside}}} {value!r}\n" if inside else f"{name} {value!r}\n"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
