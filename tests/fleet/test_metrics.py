"""A bound on series."""

from seawall.fleet.metrics import bounded, own

TEXT = """# TYPE envoy_cluster_upstream_rq_total counter
envoy_cluster_upstream_rq_total{envoy_cluster_name="a"} 1
envoy_cluster_upstream_rq_total{envoy_cluster_name="b"} 1

# TYPE envoy_cluster_manager_active_clusters gauge
envoy_cluster_manager_active_clusters{} 2

# TYPE envoy_server_live gauge
envoy_server_live{} 1
"""


def test_everything_is_kept_within_the_bound() -> None:
    text, dropped = bounded(TEXT, 4)

    assert dropped == 0
    assert sorted(text.splitlines()) == sorted(line for line in TEXT.splitlines() if line)


def test_above_the_bound_the_edge_comes_before_its_backends() -> None:
    text, dropped = bounded(TEXT, 3)

    assert dropped == 2
    assert "envoy_server_live{} 1" in text
    assert "envoy_cluster_manager_active_clusters{} 2" in text
    assert "rq_total" not in text


def test_what_envoy_says_twice_is_said_once() -> None:
    assert bounded(
        "# TYPE envoy_cluster_external_upstream_rq counter\nenvoy_cluster_external_upstream_rq{} 1\n", 9
    ) == (
        "",
        0,
    )


def test_nothing_is_nothing() -> None:
    assert bounded("", 3) == ("", 0)


def test_own_metrics_are_written_down() -> None:
    assert own({"ready": ("gauge", 1.0)}) == "# TYPE seawall_agent_ready gauge\nseawall_agent_ready 1\n"
