"""Blame: the object that changed last is the one in quarantine."""

from seawall.app.blame import Blame
from seawall.fleet.wire import Rejection
from seawall.gateway.graph import ObjectKey
from seawall.xds.resource import LISTENER, SCOPE, SECRET, Ref, ResourceName, TypeUrl

OLD, NEW = ObjectKey("HTTPRoute/shop/old"), ObjectKey("HTTPRoute/shop/new")


def _refusal(type_url: TypeUrl, name: str = "tcp/127.0.0.1/80|shop.example") -> tuple[Rejection, ...]:
    return (Rejection(ref=Ref(type_url, ResourceName(name)), version="r1", message="no"),)


def _origins(_: Ref) -> tuple[ObjectKey, ...]:
    return (OLD, NEW)


def _accepted_then_changed() -> Blame:
    blame = Blame()
    blame.changed([OLD], [])
    blame.published("1")
    blame.applied("1")
    blame.changed([NEW], [])
    blame.published("2")
    return blame


def test_only_what_changed_since_the_last_acceptance_is_blamed() -> None:
    blame = _accepted_then_changed()

    assert blame.refused("edge-1", "2", _refusal(SCOPE), _origins)

    assert list(blame.quarantine) == [NEW]


def test_a_listener_is_not_blamed_on_its_gateway_but_on_a_policy_in_it() -> None:
    blame = Blame()
    policy = ObjectKey("ListenerPolicy/shop/p")

    blame.refused("edge-1", "1", _refusal(LISTENER), lambda _: (ObjectKey("Gateway/shop/edge"), policy))

    assert list(blame.quarantine) == [policy]


def test_all_are_blamed_when_nobody_changed() -> None:
    blame = _accepted_then_changed()
    blame.applied("2")

    blame.refused("edge-1", "2", _refusal(SCOPE), _origins)

    assert list(blame.quarantine) == [OLD, NEW]


def test_an_object_that_changed_meanwhile_gets_its_chance() -> None:
    blame = _accepted_then_changed()
    blame.changed([NEW], [])

    blame.refused("edge-1", "2", _refusal(SCOPE), lambda _: (NEW,))

    assert not blame.quarantine


def test_quarantine_ends_with_a_change_and_not_with_the_edge_being_well() -> None:
    blame = _accepted_then_changed()
    blame.refused("edge-1", "2", _refusal(SCOPE), _origins)

    assert not blame.refused("edge-1", "3", (), _origins)
    still = dict(blame.quarantine)
    blame.changed([NEW], [])

    assert list(still) == [NEW]
    assert not blame.quarantine


def test_a_socket_is_a_fault_until_the_edge_says_otherwise() -> None:
    blame = _accepted_then_changed()

    blame.refused("edge-1", "2", _refusal(LISTENER, "tcp/127.0.0.1/80"), _origins)
    during = blame.faults
    blame.refused("edge-1", "2", (), _origins)

    assert during == {"tcp/127.0.0.1/80": "no"}
    assert not blame.faults
    assert not blame.quarantine


def test_an_edge_that_is_gone_takes_its_faults_along() -> None:
    blame = _accepted_then_changed()
    blame.refused("edge-1", "2", _refusal(LISTENER), _origins)

    assert blame.forget_edge("edge-1")
    assert not blame.forget_edge("edge-1")
    assert not blame.faults


def test_a_secret_is_its_own_origin() -> None:
    blame = _accepted_then_changed()

    blame.refused("edge-1", "2", _refusal(SECRET, "Secret/shop/cert"), lambda _: ())

    assert list(blame.quarantine) == ["Secret/shop/cert"]


NATIVE, OTHER = ObjectKey("HTTPFilterPolicy/shop/new"), ObjectKey("HTTPFilterPolicy/shop/old")


def _listener_refusal(message: str) -> tuple[Rejection, ...]:
    return (Rejection(ref=Ref(LISTENER, ResourceName("tcp/127.0.0.1/80")), version="r1", message=message),)


def _native(_: Ref) -> tuple[ObjectKey, ...]:
    return (ObjectKey("Gateway/shop/edge"), OTHER, NATIVE)


def test_a_listener_with_native_filters_is_refused_because_of_the_newest() -> None:
    blame = Blame()
    blame.changed([OTHER], [])
    blame.published("1")
    blame.applied("1")
    blame.changed([NATIVE], [])
    blame.published("2")

    assert blame.refused("edge-1", "2", _listener_refusal("script load error"), _native)

    assert list(blame.quarantine) == [NATIVE]
    assert not blame.faults


def test_a_stream_that_is_new_is_to_blame_and_one_that_worked_is_not() -> None:
    old, new = ObjectKey("TLSRoute/shop/old"), ObjectKey("TLSRoute/shop/new")

    def streams(_: Ref) -> tuple[ObjectKey, ...]:
        return (ObjectKey("Gateway/shop/edge"), old, new)

    blame = Blame()
    blame.changed([old], [])
    blame.published("1")
    blame.applied("1")
    blame.changed([new], [])
    blame.published("2")

    assert blame.refused("edge-1", "2", _listener_refusal("bad match"), streams)
    assert list(blame.quarantine) == [new]
    assert not blame.faults

    blame.changed([], [new])
    blame.published("3")
    blame.refused("edge-1", "3", _listener_refusal("bad match"), lambda _: (ObjectKey("Gateway/shop/edge"), old))
    assert not blame.quarantine
    assert list(blame.faults) == ["tcp/127.0.0.1/80"]


def test_a_port_in_use_is_no_fault_of_a_native_filter() -> None:
    blame = Blame()

    assert blame.refused(
        "edge-1", "1", _listener_refusal("cannot bind '127.0.0.1:80': Address already in use"), _native
    )

    assert not blame.quarantine
    assert list(blame.faults) == ["tcp/127.0.0.1/80"]


MIDDLE = ObjectKey("HTTPRoute/shop/middle")


def _changed_twice() -> Blame:
    blame = Blame()
    for number, key in enumerate((OLD, MIDDLE, NEW)):
        blame.changed([key], [])
        blame.published(str(number))
        if key == OLD:
            blame.applied("0")
    return blame


def _all(_: Ref) -> tuple[ObjectKey, ...]:
    return (OLD, MIDDLE, NEW)


def test_of_several_changes_the_newest_is_blamed_first() -> None:
    blame = _changed_twice()

    blame.refused("edge-1", "2", _refusal(SCOPE), _all)

    assert list(blame.quarantine) == [NEW]


def test_what_a_second_edge_says_of_the_same_version_blames_nobody_else() -> None:
    blame = _changed_twice()
    blame.refused("edge-1", "2", _refusal(SCOPE), _all)

    blame.refused("edge-2", "2", _refusal(SCOPE), lambda _: (OLD, MIDDLE))

    assert list(blame.quarantine) == [NEW]


def test_who_was_blamed_is_let_go_when_it_is_refused_without_him() -> None:
    blame = _changed_twice()
    blame.refused("edge-1", "2", _refusal(SCOPE), _all)
    blame.published("3")

    blame.refused("edge-1", "3", _refusal(SCOPE), lambda _: (OLD, MIDDLE))

    assert list(blame.quarantine) == [MIDDLE]
    blame.published("4")
    blame.refused("edge-1", "4", _refusal(SCOPE), lambda _: (OLD, NEW))
    assert sorted(blame.quarantine) == [MIDDLE, NEW]


def test_a_policy_is_blamed_before_what_it_is_for() -> None:
    policy, service = ObjectKey("TrafficPolicy/shop/p"), ObjectKey("Service/shop/web")
    blame = Blame()
    blame.changed([policy, service], [])
    blame.published("1")

    blame.refused("edge-1", "1", _refusal(SCOPE), lambda _: (service, policy))
    first = list(blame.quarantine)
    # It was not the policy: without it Envoy says the same.
    blame.published("2")
    blame.refused("edge-1", "2", _refusal(SCOPE), lambda _: (service,))

    assert first == [policy]
    assert list(blame.quarantine) == [policy, service]


def test_what_is_said_again_of_an_older_content_makes_nobody_else_guilty() -> None:
    blame, policy, route = Blame(), ObjectKey("TrafficPolicy/shop/p"), ObjectKey("HTTPRoute/shop/web")
    blame.changed([route], [])
    blame.published("1")
    blame.applied("1")
    blame.changed([policy], [])
    blame.published("2")
    blame.refused("edge-1", "2", _refusal(SCOPE), lambda _: (route, policy))

    # Without the policy it is published anew; the edge has it, and Envoy has not said anything of it yet.
    blame.published("3")
    before = blame.refused("edge-1", "3", _refusal(SCOPE), lambda _: (route,), lambda one: one.version == "r2")

    assert not before
    assert list(blame.quarantine) == [policy]
