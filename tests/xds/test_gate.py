"""Make before break, per resource, with a time limit; and warming."""

from seawall.xds.client import StreamSettings
from seawall.xds.events import Applied, Recovered
from seawall.xds.resource import CLUSTER, ENDPOINTS, LISTENER, ROUTE, SCOPE, SECRET
from tests.xds.play import (
    Play,
    booted,
    cluster,
    endpoints,
    listener,
    only,
    ref,
    rejections,
    res,
    scope,
    sends,
    sent,
)

FLEET = (cluster("a"), cluster("b"), endpoints("a"), endpoints("b"), listener("http"), scope("h1", "a"))

# ── make ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_scope_is_sent_when_its_cluster_is_acknowledged() -> None:
    play = booted(*FLEET)
    out = only(play.change(cluster("c"), scope("h2", "c")))
    assert out.type_url == CLUSTER

    assert sent(play.ack(out)) == [("ScopedRouteConfiguration", ["h2"], [])]


def test_a_scope_waits_for_all_of_its_clusters() -> None:
    play = booted(*FLEET)
    first = only(play.change(cluster("c"), scope("h2", "c", "d", "a"), cluster("d")))

    assert [r.name for r in first.resources] == ["c", "d"]
    assert sent(play.ack(first)) == [("ScopedRouteConfiguration", ["h2"], [])]


def test_a_scope_whose_clusters_are_there_does_not_wait_for_others() -> None:
    play = booted(*FLEET)

    said = play.change(cluster("c"), scope("h2", "c"), scope("h3", "b"))

    assert sent(said) == [("Cluster", ["c"], []), ("ScopedRouteConfiguration", ["h3"], [])]


def test_a_changed_cluster_holds_nobody_up() -> None:
    play = booted(*FLEET)

    said = play.change(cluster("a", "2"), scope("h1", "a", version="2"))

    assert [send.type_url for send in sends(said)] == [CLUSTER, ENDPOINTS, SCOPE]


def test_listeners_wait_for_clusters_too() -> None:
    play = booted(*FLEET)
    out = only(play.change(cluster("tcp"), listener("tcp", "1", ref(CLUSTER, "tcp"))))

    assert sent(play.ack(out)) == [("Listener", ["tcp"], [])]


def test_a_cluster_does_not_wait_for_its_secret_to_be_acknowledged() -> None:
    play = booted(*FLEET)

    said = play.change(cluster("tls", "1", "cert"), res(SECRET, "cert"))

    assert sent(said) == [("Cluster", ["tls"], [])]


def test_a_cluster_whose_secret_does_not_exist_is_never_sent_and_says_so() -> None:
    play = booted(*FLEET)

    said = play.change(cluster("tls", "1", "cert"), scope("h2", "tls"))
    assert sends(said) == []
    (report,) = rejections(said)
    assert (report.ref, report.cause) == (ref(CLUSTER, "tls"), "missing")
    assert "Secret cert" in report.message

    said = play.settle(play.change(res(SECRET, "cert")))
    assert sent(said) == [("Cluster", ["tls"], []), ("ScopedRouteConfiguration", ["h2"], [])]
    assert Recovered(ref=ref(CLUSTER, "tls")) in said
    assert said[-1] == Applied(version=play.snapshot.version)


def test_a_scope_whose_cluster_does_not_exist_is_held_back_and_the_old_one_stays() -> None:
    play = booted(*FLEET)

    said = play.change(scope("h1", "none", version="2"), remove=(ref(CLUSTER, "a"),))

    assert sends(said) == []
    assert [(report.ref.name, report.cause) for report in rejections(said)] == [("h1", "missing")]
    assert sends(play.wait(3600)) == []
    assert play.stream.held(CLUSTER) == {"a": "1", "b": "1"}


def test_a_listener_does_not_wait_for_a_table_that_it_will_ask_for() -> None:
    play = Play(cluster("a"), listener("http", "1", ref(ROUTE, "t")), res(ROUTE, "t", "1", ref(CLUSTER, "a")))
    play.settle(play.subscribe(CLUSTER))

    assert sent(play.subscribe(LISTENER)) == [("Listener", ["http"], [])]
    assert sent(play.subscribe(ROUTE, "t")) == [("RouteConfiguration", ["t"], [])]


def test_a_client_may_ask_for_its_clusters_last() -> None:
    play = Play(*FLEET)
    assert sends(play.subscribe(SCOPE, initial={"h1": "old"})) == []

    assert sent(play.settle(play.subscribe(CLUSTER))) == [
        ("Cluster", ["a", "b"], []),
        ("ScopedRouteConfiguration", ["h1"], []),
    ]


def test_a_client_that_asks_for_no_clusters_is_not_kept_waiting_for_ever() -> None:
    play = Play(*FLEET)
    assert sends(play.subscribe(SCOPE)) == []

    assert sent(play.wait(10)) == [("ScopedRouteConfiguration", ["h1"], [])]
    assert sent(play.settle(play.change(scope("h2", "b")))) == []


def test_a_client_of_which_no_clusters_are_expected_is_not_kept_waiting() -> None:
    play = Play(*FLEET, settings=StreamSettings(expects=()))

    assert sent(play.subscribe(SCOPE)) == [("ScopedRouteConfiguration", ["h1"], [])]


def test_a_client_that_takes_clusters_by_name_waits_only_for_those() -> None:
    play = Play(*FLEET, scope("h2", "b"))
    play.subscribe(CLUSTER, "b")

    assert sent(play.subscribe(SCOPE)) == [("ScopedRouteConfiguration", ["h1"], [])]


def test_unsubscribing_a_cluster_frees_who_waited_for_it() -> None:
    play = Play(*FLEET)
    play.subscribe(CLUSTER, "a")
    assert sends(play.subscribe(SCOPE)) == []

    assert sent(play.subscribe(CLUSTER, unsubscribe=("a",))) == [("ScopedRouteConfiguration", ["h1"], [])]


def test_the_first_answer_waits_for_what_may_come_soon_but_not_for_ever() -> None:
    play = Play(*FLEET)
    out = only(play.subscribe(CLUSTER))
    assert sends(play.subscribe(SCOPE)) == []

    said = play.wait(10)

    assert sent(said) == [("ScopedRouteConfiguration", [], [])]
    assert sent(play.settle([out, *said])) == [
        ("Cluster", ["a", "b"], []),
        ("ScopedRouteConfiguration", [], []),
        ("ScopedRouteConfiguration", ["h1"], []),
    ]


# ── the time limit ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_stuck_cluster_is_reported_and_only_what_needs_it_is_held_back() -> None:
    play = booted(*FLEET)
    out = only(play.change(cluster("stuck"), scope("h2", "stuck")))

    said = play.wait(10)
    assert [(r.ref.name, r.cause) for r in rejections(said)] == [("stuck", "stuck")]
    assert sent(play.change(scope("h3", "b"))) == [("ScopedRouteConfiguration", ["h3"], [])]

    said = play.ack(out)
    assert Recovered(ref=ref(CLUSTER, "stuck")) in said
    assert "h2" not in play.stream.held(SCOPE)


def test_a_stuck_cluster_is_reported_once() -> None:
    play = booted(*FLEET)
    play.change(cluster("stuck"), scope("h2", "stuck"))

    said = play.wait(60)
    said += play.change(scope("h3", "stuck"))
    said += play.wait(60)

    assert len(rejections(said)) == 1


def test_new_clusters_are_sent_though_one_is_stuck_and_count_by_their_endpoints() -> None:
    play = booted(*FLEET)
    play.change(cluster("stuck"), scope("h2", "stuck"))
    play.settle(play.wait(10))

    said = play.change(cluster("c"), endpoints("c"), scope("h3", "c"))
    assert sent(said) == [("Cluster", ["c"], [])]
    play.settle(play.subscribe(ENDPOINTS, "c"))
    said = play.wait(2)

    assert ("ScopedRouteConfiguration", ["h3"], []) in sent(said)


def test_a_stuck_cluster_can_be_repaired() -> None:
    play = booted(*FLEET)
    play.change(cluster("stuck"), scope("h2", "stuck"))
    play.wait(10)

    out = only(play.change(cluster("stuck", "2")))
    said = play.ack(out)

    assert sent(said) == [("ScopedRouteConfiguration", ["h2"], [])]
    assert Recovered(ref=ref(CLUSTER, "stuck")) in said


def test_responses_that_are_out_are_bounded_whatever_happens() -> None:
    play = booted(*FLEET)

    for i in range(50):
        play.change(cluster(f"c{i}"))
        play.wait(20)

    state = next(t for t in play.stream.state().types if t.type_url == CLUSTER)
    assert state.in_flight == 4


def test_who_asked_by_name_for_what_is_stuck_is_told_that_there_is_none_for_now() -> None:
    play = Play(cluster("a"), res(ROUTE, "t", "1", ref(CLUSTER, "a")))
    out = only(play.subscribe(CLUSTER))
    assert sends(play.subscribe(ROUTE, "t")) == []

    assert sent(play.wait(10)) == [("RouteConfiguration", [], ["t"])]
    play.settle([out])
    assert play.stream.state().awaited == 0


def test_what_needs_a_refused_cluster_is_held_back_until_it_is_repaired() -> None:
    play = booted(*FLEET)
    said = play.nack(only(play.change(cluster("bad"), scope("h2", "bad"))), "bad: no")
    assert [r.ref.name for r in rejections(said)] == ["bad"]
    assert play.stream.state().awaited == 1
    play.settle(said)

    said = play.settle(play.change(cluster("bad", "2")))

    assert sent(said) == [("Cluster", ["bad"], []), ("ScopedRouteConfiguration", ["h2"], [])]


def test_what_needs_a_cluster_whose_change_was_refused_goes_on_with_the_old_one() -> None:
    play = booted(*FLEET)
    play.settle(play.nack(sends(play.change(cluster("a", "2")))[0], "a: no"))

    assert sent(play.change(scope("h2", "a"))) == [("ScopedRouteConfiguration", ["h2"], [])]


# ── break ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_cluster_is_removed_a_grace_time_after_the_last_route_left_it() -> None:
    play = booted(*FLEET)
    out = only(play.change(scope("h1", "b", version="2"), remove=(ref(CLUSTER, "a"),)))
    assert (out.type_url, out.removed) == (SCOPE, ())
    assert sends(play.wait(60)) == []

    assert play.ack(out) == [Applied(version=play.snapshot.version)]
    assert sends(play.wait(4.9)) == []
    assert sent(play.wait(0.1)) == [("Cluster", [], ["a"])]


def test_a_scope_moves_to_a_new_cluster_in_order() -> None:
    play = booted(*FLEET)

    said = play.settle(play.change(cluster("c"), scope("h1", "c", version="2"), remove=(ref(CLUSTER, "a"),)))
    said += play.settle(play.wait(5))

    assert sent(said) == [
        ("Cluster", ["c"], []),
        ("ScopedRouteConfiguration", ["h1"], []),
        ("Cluster", [], ["a"]),
    ]


def test_a_refused_route_keeps_its_cluster() -> None:
    play = booted(*FLEET)
    out = only(play.change(scope("h1", "b", version="2"), remove=(ref(CLUSTER, "a"),)))

    play.nack(out)

    assert sends(play.wait(3600)) == []
    assert "a" in play.stream.held(CLUSTER)


def test_a_route_that_may_have_been_taken_keeps_its_cluster() -> None:
    play = booted(*FLEET)
    out = only(play.change(scope("x", "b"), scope("y", "b")))
    half = only(play.nack(out))
    play.change(remove=(ref(CLUSTER, "b"), ref(SCOPE, "x"), ref(SCOPE, "y")))

    assert sends(play.wait(9)) == []

    said = play.settle(play.ack(half))
    said += play.settle(play.wait(5))
    assert sent(said) == [("ScopedRouteConfiguration", [], ["x", "y"]), ("Cluster", [], ["b"])]


def test_a_cluster_added_again_within_its_grace_time_stays() -> None:
    play = booted(*FLEET)
    play.settle(play.change(remove=(ref(CLUSTER, "b"),)))
    play.wait(3)

    assert sends(play.change(cluster("b"))) == []
    assert sends(play.wait(60)) == []


def test_a_cluster_added_again_while_its_removal_is_out_is_sent_before_its_routes() -> None:
    play = booted(*FLEET)
    play.change(remove=(ref(CLUSTER, "b"),))
    out = only(play.wait(5))
    assert sends(play.change(cluster("b"), scope("h2", "b"))) == []

    said = play.ack(out)
    assert sent(said)[0] == ("Cluster", ["b"], [])
    assert sent(play.ack(sends(said)[0])) == [("ScopedRouteConfiguration", ["h2"], [])]


def test_secrets_stay_while_something_uses_them() -> None:
    play = booted(cluster("tls", "1", "cert"), res(SECRET, "cert"), endpoints("tls"), listener("http"))
    play.settle(play.change(remove=(ref(SECRET, "cert"),)))
    assert sends(play.wait(60)) == []

    play.settle(play.change(cluster("tls", "2")))

    assert sent(play.wait(5)) == [("Secret", [], ["cert"])]


def test_a_renamed_listener_takes_over_in_one_response() -> None:
    play = booted(*FLEET)
    out = only(play.change(cluster("c"), listener("new", "1", ref(CLUSTER, "c")), remove=(ref(LISTENER, "http"),)))
    assert out.type_url == CLUSTER

    assert sent(play.ack(out)) == [("Listener", ["new"], ["http"])]


def test_endpoints_of_a_cluster_stay_as_long_as_the_cluster() -> None:
    play = booted(*FLEET)
    said = play.settle(play.change(remove=(ref(CLUSTER, "b"), ref(ENDPOINTS, "b"))))
    said += play.settle(play.wait(5))
    assert sent(said) == [("Cluster", [], ["b"])]

    assert sent(play.wait(5)) == [("ClusterLoadAssignment", [], ["b"])]


def test_endpoints_of_a_cluster_on_its_way_out_are_answered_when_asked_for_again() -> None:
    play = booted(*FLEET)
    play.change(remove=(ref(CLUSTER, "a"), ref(ENDPOINTS, "a")))

    assert sent(play.subscribe(ENDPOINTS, "a")) == [("ClusterLoadAssignment", ["a"], [])]


# ── warm ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_changed_cluster_gets_its_endpoints_again_after_it() -> None:
    play = booted(*FLEET)

    said = play.change(cluster("a", "2"))

    assert sent(said) == [("Cluster", ["a"], []), ("ClusterLoadAssignment", ["a"], [])]


def test_two_clusters_on_the_same_endpoints_each_get_them() -> None:
    shared = ref(ENDPOINTS, "pool")
    play = booted(res(CLUSTER, "a", "1", shared), endpoints("pool"), listener("http"))

    said = play.change(res(CLUSTER, "b", "1", shared))

    assert sent(said) == [("Cluster", ["b"], []), ("ClusterLoadAssignment", ["pool"], [])]


def test_a_cluster_without_endpoints_is_answered_at_once() -> None:
    play = Play(cluster("a"))
    play.settle(play.subscribe(CLUSTER))

    assert sent(play.subscribe(ENDPOINTS, "a")) == [("ClusterLoadAssignment", [], ["a"])]


def test_a_cluster_that_cannot_even_be_sent_is_reported_too() -> None:
    play = booted(*FLEET)
    for i in range(4):
        play.change(cluster(f"c{i}"))
        play.wait(11)

    said = play.change(cluster("late"), scope("h2", "late"))
    said += play.wait(10)

    assert [report.ref.name for report in rejections(said)] == ["late"]


def test_endpoints_that_come_after_their_warming_cluster_are_sent_though_the_client_holds_them() -> None:
    play = booted(*FLEET)
    play.settle(play.subscribe(ENDPOINTS, "new"))
    play.settle(play.change(endpoints("new")))
    play.settle(play.change(remove=(ref(ENDPOINTS, "new"),)))
    play.settle(play.wait(5))
    play.change(cluster("new"))

    assert sent(play.change(endpoints("new"))) == [("ClusterLoadAssignment", ["new"], [])]


def test_a_waiting_scope_that_is_removed_waits_no_more() -> None:
    play = booted(*FLEET)
    out = only(play.change(cluster("c"), scope("h2", "c"), scope("h3", "c")))

    play.change(remove=(ref(SCOPE, "h2"),))
    assert sent(play.ack(out)) == [("ScopedRouteConfiguration", ["h3"], [])]
    play.change(remove=(ref(SCOPE, "h3"),))

    assert play.stream.state().awaited == 0
