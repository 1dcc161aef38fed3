"""Metrics: what Prometheus reads."""

from seawall.console.metrics import Metric, counter, gauge, text


def test_samples_are_written_with_their_labels_escaped() -> None:
    written = text(
        [
            gauge("objects", "Objects.", 3),
            counter("updates_total", "Updates.", 1.5),
            Metric(name="problems", help="Problems.", samples=(((("kind", 'a"b\\'),), 2),)),
        ]
    )

    assert written == (
        "# HELP seawall_objects Objects.\n# TYPE seawall_objects gauge\nseawall_objects 3\n"
        "# HELP seawall_updates_total Updates.\n# TYPE seawall_updates_total counter\nseawall_updates_total 1.5\n"
        "# HELP seawall_problems Problems.\n# TYPE seawall_problems gauge\n"
        'seawall_problems{kind="a\\"b\\\\"} 2\n'
    )
