"""The protocol: who is answered, with what, when."""

import pytest

from seawall.kit.units import Instant
from seawall.xds.client import StreamSettings
from seawall.xds.events import Acked, Applied, Nacked, Recovered, Rejected, Send, Ticked
from seawall.xds.resource import (
    CLUSTER,
    ENDPOINTS,
    EXTENSION,
    LISTENER,
    ROUTE,
    RUNTIME,
    SCOPE,
    SECRET,
    TypeUrl,
)
from seawall.xds.stream import DeltaStream
from tests.xds.play import (
    START,
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

# ── subscriptions ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("type_url", [CLUSTER, ENDPOINTS, SECRET, EXTENSION, RUNTIME, LISTENER, ROUTE, SCOPE])
def test_first_request_of_a_type_is_answered_even_when_empty(type_url: TypeUrl) -> None:
    play = Play()

    assert play.subscribe(type_url) == [Send(type_url=type_url, nonce="1", system_version=play.snapshot.version)]


def test_first_request_of_an_unknown_type_is_answered() -> None:
    play = Play()

    assert sent(play.subscribe(TypeUrl("type.googleapis.com/x.Unheard"), "some")) == [("Unheard", [], ["some"])]


@pytest.mark.parametrize("wanted", [(), ("*",)])
def test_wildcard_and_legacy_wildcard_get_everything(wanted: tuple[str, ...]) -> None:
    play = Play(*FLEET)

    assert sent(play.subscribe(CLUSTER, *wanted)) == [("Cluster", ["a", "b"], [])]


@pytest.mark.parametrize("type_url", [ENDPOINTS, SECRET, ROUTE])
def test_an_empty_first_request_of_a_type_with_names_gets_nothing(type_url: TypeUrl) -> None:
    play = Play(res(type_url, "one"))

    assert only(play.subscribe(type_url)).resources == ()


def test_names_get_only_themselves() -> None:
    play = Play(*FLEET)

    assert sent(play.subscribe(CLUSTER, "b")) == [("Cluster", ["b"], [])]


def test_an_explicit_name_keeps_the_legacy_wildcard() -> None:
    play = Play(*FLEET)
    play.settle(play.subscribe(CLUSTER))

    play.settle(play.subscribe(CLUSTER, "a"))

    assert sent(play.change(cluster("b", "2"))) == [("Cluster", ["b"], [])]


def test_unsubscribing_the_wildcard_leaves_the_explicit_names() -> None:
    play = Play(*FLEET)
    play.settle(play.subscribe(CLUSTER, "*", "a"))

    play.settle(play.subscribe(CLUSTER, unsubscribe=("*",)))

    assert play.stream.held(CLUSTER) == {"a": "1"}
    assert sent(play.change(cluster("b", "2"))) == []
    assert sent(play.change(cluster("a", "2"))) == [("Cluster", ["a"], [])]


def test_unsubscribing_a_name_under_a_wildcard_is_answered_with_the_resource() -> None:
    play = Play(*FLEET)
    play.settle(play.subscribe(CLUSTER, "*", "a"))

    assert sent(play.subscribe(CLUSTER, unsubscribe=("a",))) == [("Cluster", ["a"], [])]


def test_unsubscribing_an_absent_name_under_a_wildcard_is_answered_with_its_removal() -> None:
    play = Play(*FLEET)
    play.settle(play.subscribe(CLUSTER, "*", "none"))

    assert sent(play.subscribe(CLUSTER, unsubscribe=("none",))) == [("Cluster", [], ["none"])]


def test_unsubscribing_a_name_is_forgetting_it() -> None:
    play = Play(*FLEET)
    play.settle(play.subscribe(ENDPOINTS, "a", "b"))

    assert sent(play.subscribe(ENDPOINTS, unsubscribe=("a",))) == []

    assert play.stream.held(ENDPOINTS) == {"b": "1"}
    assert sent(play.change(endpoints("a", "2"))) == []


def test_a_name_subscribed_again_is_answered_even_if_unchanged() -> None:
    play = Play(*FLEET)
    play.settle(play.subscribe(ENDPOINTS, "a"))

    assert sent(play.subscribe(ENDPOINTS, "a")) == [("ClusterLoadAssignment", ["a"], [])]


def test_a_wildcard_subscribed_again_is_answered_in_full() -> None:
    play = Play(*FLEET)
    play.settle(play.subscribe(CLUSTER, "*"))

    assert sent(play.subscribe(CLUSTER, "*")) == [("Cluster", ["a", "b"], [])]


def test_a_name_unsubscribed_and_subscribed_at_once_is_answered() -> None:
    play = Play(*FLEET)
    play.settle(play.subscribe(ENDPOINTS, "a"))

    assert sent(play.subscribe(ENDPOINTS, "a", unsubscribe=("a",))) == [("ClusterLoadAssignment", ["a"], [])]


def test_an_absent_name_is_said_to_be_absent_once_and_watched_on() -> None:
    play = Play(*FLEET)

    assert sent(play.settle(play.subscribe(ENDPOINTS, "new"))) == [("ClusterLoadAssignment", [], ["new"])]
    assert sent(play.change(endpoints("a", "2"))) == []
    assert sent(play.change(endpoints("new"))) == [("ClusterLoadAssignment", ["new"], [])]


def test_no_name_stands_twice_in_a_response() -> None:
    play = Play(*FLEET)

    send = only(play.subscribe(CLUSTER, "*", "a", "a", "none", "none"))

    assert [r.name for r in send.resources] == ["a", "b"]
    assert send.removed == ("none",)


# ── reconnects ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_client_that_comes_back_gets_changes_and_removals_only() -> None:
    play = Play(listener("same"), listener("changed", "2"), listener("new"))

    send = only(play.subscribe(LISTENER, initial={"same": "1", "changed": "1", "gone": "1"}))

    assert sorted(r.name for r in send.resources) == ["changed", "new"]
    assert send.removed == ("gone",)


def test_a_client_that_comes_back_to_the_same_gets_an_empty_answer() -> None:
    play = Play(*FLEET)

    assert only(play.subscribe(CLUSTER, initial={"a": "1", "b": "1"})).resources == ()


def test_initial_versions_count_only_in_the_first_request_of_a_type() -> None:
    play = Play(*FLEET)
    play.settle(play.subscribe(ENDPOINTS, "a"))

    assert sent(play.subscribe(ENDPOINTS, "b", initial={"b": "1"})) == [("ClusterLoadAssignment", ["b"], [])]


def test_what_a_removed_cluster_might_still_serve_waits_until_the_rest_is_known() -> None:
    play = Play(cluster("b"), listener("http"), scope("h1", "b"))

    said = play.settle(play.subscribe(CLUSTER, initial={"a": "1", "b": "1"}))
    said += play.settle(play.subscribe(LISTENER, initial={"http": "1"}))
    said += play.subscribe(SCOPE, initial={"h1": "old"})
    said += play.wait(60)

    assert not any("a" in send.removed for send in sends(said))
    play.settle([send for send in sends(said) if send.type_url == SCOPE])
    assert sent(play.wait(5)) == [("Cluster", [], ["a"])]


def test_a_cluster_that_changed_while_away_gets_its_endpoints_though_they_did_not() -> None:
    play = Play(cluster("a", "2"), cluster("b"), endpoints("a"), endpoints("b"))

    play.subscribe(CLUSTER, initial={"a": "1", "b": "1"})
    send = only(play.subscribe(ENDPOINTS, "a", "b", initial={"a": "1", "b": "1"}))

    assert [r.name for r in send.resources] == ["a"]


def test_an_answer_to_a_response_of_an_earlier_stream_is_ignored() -> None:
    play = Play(*FLEET)

    assert play.feed(Acked(at=Instant(START), type_url=CLUSTER, nonce="99")) == []
    assert sent(play.subscribe(CLUSTER)) == [("Cluster", ["a", "b"], [])]
    assert play.feed(Acked(at=Instant(START), type_url=CLUSTER, nonce="99")) == []


# ── changes ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_nothing_is_sent_without_a_change() -> None:
    play = booted(*FLEET)

    assert play.change() == []
    assert play.change(cluster("a"), endpoints("b"), scope("h1", "a")) == []
    assert play.wait(3600) == []


def test_one_response_of_a_type_is_out_and_later_changes_merge() -> None:
    play = booted(*FLEET)
    out = only(play.change(endpoints("a", "2")))

    assert sends(play.change(endpoints("a", "3"))) == []
    assert sends(play.change(endpoints("b", "2"))) == []
    assert sends(play.change(endpoints("a", "4"))) == []

    send = only(play.ack(out))
    assert {r.name: r.version for r in send.resources} == {"a": "4", "b": "2"}


def test_a_change_taken_back_while_a_response_is_out_sends_nothing_of_it() -> None:
    play = booted(*FLEET)
    out = only(play.change(endpoints("a", "2")))
    play.change(endpoints("b", "2"))
    play.change(endpoints("b", "1"))

    assert sends(play.ack(out)) == []


def test_endpoints_do_not_wait_for_clusters_that_are_out() -> None:
    play = booted(*FLEET)
    assert [send.type_url for send in sends(play.change(cluster("new")))] == [CLUSTER]

    assert sent(play.change(endpoints("a", "2"))) == [("ClusterLoadAssignment", ["a"], [])]


def test_responses_are_made_in_the_order_that_clients_can_use() -> None:
    play = Play()
    for type_url in (SCOPE, LISTENER, SECRET, ENDPOINTS, CLUSTER):
        play.settle(play.subscribe(type_url, "*"))

    said = play.change(scope("h1"), listener("l"), res(SECRET, "s"), endpoints("a"), cluster("a"))

    assert [send.type_url for send in sends(said)] == [CLUSTER, ENDPOINTS, SECRET, LISTENER, SCOPE]


def test_large_responses_are_split_below_the_limit() -> None:
    settings = StreamSettings(response_bytes=1_000)
    resources = [res(SCOPE, f"h{i}", "v" * 100) for i in range(20)]
    play = Play(*resources, settings=settings)

    said = play.settle(play.subscribe(SCOPE))

    assert len(sends(said)) > 5
    assert all(sum(len(r.body) for r in send.resources) <= 1_000 for send in sends(said))
    assert len(play.stream.held(SCOPE)) == 20


def test_a_resource_above_the_limit_goes_alone() -> None:
    play = Play(res(SCOPE, "small"), res(SCOPE, "large", "v" * 2_000), settings=StreamSettings(response_bytes=1_000))

    said = play.settle(play.subscribe(SCOPE))

    assert [[r.name for r in send.resources] for send in sends(said)] == [["small"], ["large"]]


def test_a_name_removed_and_added_again_is_sent_again() -> None:
    play = booted(*FLEET)

    play.settle(play.change(remove=(ref(SCOPE, "h1"),)))
    said = play.change(scope("h1", "a"))

    assert sent(said) == [("ScopedRouteConfiguration", ["h1"], [])]


def test_a_name_removed_and_added_while_its_removal_is_out_is_sent_after_it() -> None:
    play = booted(*FLEET)
    out = only(play.change(remove=(ref(SCOPE, "h1"),)))
    assert sends(play.change(scope("h1", "a"))) == []

    assert sent(play.ack(out)) == [("ScopedRouteConfiguration", ["h1"], [])]


def test_a_removed_listener_leaves_at_once() -> None:
    play = booted(*FLEET)

    assert sent(play.change(remove=(ref(LISTENER, "http"),))) == [("Listener", [], ["http"])]


def test_a_name_that_vanishes_before_it_was_sent_is_said_to_be_absent() -> None:
    play = booted(*FLEET)
    out = only(play.subscribe(ENDPOINTS, "new"))
    play.change(endpoints("new"))
    play.change(remove=(ref(ENDPOINTS, "new"),))

    assert sent(play.ack(out)) == [("ClusterLoadAssignment", [], ["new"])]


# ── refusals ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_refused_content_is_not_sent_again_until_it_changes() -> None:
    play = booted(*FLEET)
    said = play.nack(only(play.change(scope("h1", "a", version="2"))), "bad regex")

    assert said == [Rejected(ref=ref(SCOPE, "h1"), version="2", message="bad regex", cause="refused")]
    assert play.change(scope("h1", "a", version="2")) == []
    assert play.wait(3600) == []
    assert sent(play.change(scope("h1", "a", version="3"))) == [("ScopedRouteConfiguration", ["h1"], [])]


@pytest.mark.parametrize("culprits", [{"h0"}, {"h7"}, {"h3", "h4"}, {"h0", "h7"}, {f"h{i}" for i in range(8)}])
def test_culprits_are_isolated_and_the_others_are_applied(culprits: set[str]) -> None:
    play = booted(*FLEET)
    pending = sends(play.change(*(scope(f"h{i}", "a", version="2") for i in range(8))))
    reported: list[str] = []
    responses = 0

    while pending:
        responses += 1
        send = pending.pop()
        is_bad = any(r.name in culprits for r in send.resources)
        said = play.nack(send) if is_bad else play.ack(send)
        pending += sends(said)
        reported += [report.ref.name for report in rejections(said)]

    assert sorted(reported) == sorted(culprits)
    good = {f"h{i}" for i in range(8)} - culprits
    assert {name for name, version in play.stream.held(SCOPE).items() if version == "2"} == good
    assert responses <= 15


def test_a_culprit_that_the_client_names_is_found_in_two_steps() -> None:
    play = booted(*FLEET)
    out = only(play.change(*(scope(f"host-{i}", "a") for i in range(100, 200))))

    good = only(play.nack(out, "Error adding host-142: no"))
    bad = only(play.ack(good))

    assert len(good.resources) == 99
    assert [r.name for r in bad.resources] == ["host-142"]
    assert [report.ref.name for report in rejections(play.nack(bad, "no"))] == ["host-142"]


def test_other_changes_go_on_while_a_culprit_is_sought() -> None:
    play = booted(*FLEET)
    pending = sends(play.change(*(scope(f"bad{i}", "a") for i in range(64))))
    pending = sends(play.nack(pending[0]))
    play.change(scope("fresh", "a"))
    rounds = 0

    while "fresh" not in play.stream.held(SCOPE):
        rounds += 1
        send = pending.pop()
        is_bad = any(r.name.startswith("bad") for r in send.resources)
        pending += sends(play.nack(send) if is_bad else play.ack(send))

    assert rounds <= 3


def test_what_changed_while_its_refusal_was_on_the_way_is_not_suspected() -> None:
    play = booted(*FLEET)
    out = only(play.change(scope("x", "a"), scope("y", "a")))
    play.change(scope("x", "a", version="2"))
    play.change(remove=(ref(SCOPE, "y"),))

    said = play.settle(play.nack(out))

    assert {name: version for name, version in play.stream.held(SCOPE).items() if name != "h1"} == {"x": "2"}
    assert rejections(said) == []


def test_a_refused_resource_recovers_when_a_new_version_is_acknowledged() -> None:
    play = booted(*FLEET)
    play.nack(only(play.change(scope("h1", "a", version="2"))))

    said = play.settle(play.change(scope("h1", "a", version="3")))

    assert said[1:] == [Recovered(ref=ref(SCOPE, "h1")), Applied(version=play.snapshot.version)]


def test_a_refused_resource_recovers_when_the_version_held_is_wanted_again() -> None:
    play = booted(*FLEET)
    play.nack(only(play.change(scope("h1", "a", version="2"))))

    said = play.change(scope("h1", "a"))

    assert sends(said) == []
    assert Recovered(ref=ref(SCOPE, "h1")) in said


def test_a_refused_resource_recovers_when_it_is_removed() -> None:
    play = booted(*FLEET)
    play.nack(only(play.change(scope("new", "a"))))

    assert Recovered(ref=ref(SCOPE, "new")) in play.change(remove=(ref(SCOPE, "new"),))


def test_a_refused_removal_is_reported_and_not_repeated() -> None:
    play = booted(*FLEET)

    said = play.nack(only(play.change(remove=(ref(SCOPE, "h1"),))), "in use")

    assert [(r.ref.name, r.message) for r in rejections(said)] == [("h1", "in use")]
    assert sends(play.wait(60)) == []


def test_a_removal_refused_beside_a_resource_goes_again() -> None:
    play = booted(*FLEET)
    out = only(play.change(scope("new", "a"), remove=(ref(SCOPE, "h1"),)))
    assert out.removed == ("h1",)

    said = play.nack(out)

    assert {name for send in sends(play.settle(said)) for name in send.removed} == {"h1"}
    assert play.stream.held(SCOPE) == {"new": "1"}


def test_messages_of_clients_are_cut() -> None:
    play = booted(*FLEET)

    (report,) = rejections(play.nack(only(play.change(scope("h1", "a", version="2"))), "x" * 100_000))

    assert len(report.message) == 4000


# ── reports ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_version_is_applied_once_when_all_that_was_asked_for_is_acknowledged() -> None:
    play = booted(*FLEET)
    cds, eds = sends(play.change(cluster("a", "2"), endpoints("b", "2")))

    assert play.ack(cds) == []
    assert play.ack(eds) == [Applied(version=play.snapshot.version)]
    assert not any(isinstance(action, Applied) for action in play.settle(play.subscribe(ENDPOINTS, "a")))


def test_a_boot_is_applied_only_when_scopes_were_asked_for_too() -> None:
    play = Play(*FLEET)

    said = play.settle(play.subscribe(CLUSTER))
    said += play.settle(play.subscribe(ENDPOINTS, "a", "b"))
    said += play.settle(play.subscribe(LISTENER))
    assert not any(isinstance(action, Applied) for action in said)

    assert play.settle(play.subscribe(SCOPE))[-1] == Applied(version=play.snapshot.version)


def test_a_version_with_a_rejected_resource_is_not_applied() -> None:
    play = booted(*FLEET)

    said = play.nack(only(play.change(scope("h1", "a", version="2"))))

    assert not any(isinstance(action, Applied) for action in said)


def test_the_version_before_counts_as_applied_again_after_a_rollback() -> None:
    play = booted(*FLEET)
    play.settle(play.change(scope("h1", "a", version="2")))

    assert play.settle(play.change(scope("h1", "a")))[-1] == Applied(version=play.snapshot.version)


def test_the_state_says_what_is_held_pending_and_rejected_within_bounds() -> None:
    play = booted(*FLEET)
    for i in range(150):
        play.nack(only(play.change(scope(f"bad{i}", "a"))), "no")

    state = play.stream.state()

    assert state.rejected == 150
    assert len(state.rejections) == 100
    scopes = next(t for t in state.types if t.type_url == SCOPE)
    assert (scopes.acked, scopes.rejected, scopes.in_flight, scopes.pending, scopes.is_wildcard) == (1, 150, 0, 0, True)


def test_a_fresh_stream_waits_for_nothing() -> None:
    stream = DeltaStream(Play().snapshot)

    assert stream.wake_at() is None
    assert stream.handle(Ticked(at=Instant(START))) == []
    assert stream.held(CLUSTER) == {}


def test_names_that_the_client_never_asked_for_are_never_sent() -> None:
    play = Play(*FLEET)
    play.settle(play.subscribe(SECRET, "mine"))

    assert sent(play.change(res(SECRET, "other"), res(SECRET, "mine"))) == [("Secret", ["mine"], [])]


def test_a_refusal_of_a_response_that_is_not_out_is_ignored() -> None:
    play = booted(*FLEET)

    assert play.feed(Nacked(at=Instant(START), type_url=CLUSTER, nonce="99", message="no")) == []
    assert play.feed(Nacked(at=Instant(START), type_url=SECRET, nonce="1", message="no")) == []


def test_a_suspect_that_is_published_again_as_it_was_stays_a_suspect() -> None:
    play = booted(*FLEET)
    half = only(play.nack(only(play.change(scope("x", "a"), scope("y", "a")))))

    assert play.change(scope("y", "a")) == []

    assert [r.name for r in only(play.ack(half)).resources] == ["y"]


def test_what_is_on_its_way_is_not_sent_twice() -> None:
    play = booted(*FLEET)
    play.change(scope("x", "a"))
    play.wait(11)

    assert sends(play.change(scope("x", "a"))) == []


def test_many_removals_are_split_below_the_limit_too() -> None:
    many = [scope(f"host-{i:04}", "a") for i in range(100)]
    play = booted(*FLEET, *many, settings=StreamSettings(response_bytes=4_000))

    said = play.settle(play.change(remove=tuple(r.ref for r in many)))

    assert len(sends(said)) > 2
    assert sorted(name for send in sends(said) for name in send.removed) == sorted(r.name for r in many)


def test_a_name_given_up_while_it_was_pending_is_not_sent() -> None:
    play = booted(*FLEET)
    out = only(play.change(endpoints("a", "2")))
    play.change(endpoints("b", "2"))
    play.subscribe(ENDPOINTS, unsubscribe=("b",))

    assert sends(play.ack(out)) == []


def test_a_client_that_comes_back_with_a_version_we_remember_waits_only_for_what_uses_it() -> None:
    old = scope("h1", "b", version="old")
    stream = DeltaStream(Play(*FLEET).snapshot, recall=lambda _ref, version: old if version == "old" else None)
    play = Play(*FLEET)
    play.stream = stream
    play.settle(play.subscribe(CLUSTER, initial={"a": "1", "b": "1"}))
    out = only(play.subscribe(SCOPE, initial={"h1": "old"}))

    play.change(remove=(ref(CLUSTER, "b"),))
    assert sends(play.wait(9)) == []
    play.ack(out)

    assert sent(play.wait(5)) == [("Cluster", [], ["b"])]
