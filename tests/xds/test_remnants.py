"""What a refused cluster leaves behind is cleared away, and slow clusters are not mistaken for it."""

from seawall.xds.events import Action, Send
from seawall.xds.resource import CLUSTER, ENDPOINTS, LISTENER, SCOPE
from tests.xds.play import booted, cluster, endpoints, listener, only, rejections, scope, sends, sent


def about_clusters(actions: list[Action]) -> list[Send]:
    return [send for send in sends(actions) if send.type_url == CLUSTER]


FLEET = (cluster("a"), endpoints("a"), listener("http"), scope("h1", "a"))


def test_a_new_cluster_that_is_refused_is_removed() -> None:
    play = booted(*FLEET)

    said = play.nack(only(play.change(cluster("bad"))))

    assert sent(said) == [("Cluster", [], ["bad"])]
    assert sends(play.settle(said))[1:] == []


def test_a_changed_cluster_that_is_refused_is_put_back() -> None:
    play = booted(*FLEET)

    said = play.nack(sends(play.change(cluster("a", "2")))[0])

    back = sends(said)[0]
    assert [(r.name, r.version) for r in back.resources] == [("a", "1")]
    assert play.stream.held(CLUSTER) == {"a": "1"}
    assert [report.version for report in rejections(said)] == ["2"]


def test_a_response_about_many_that_stays_unanswered_is_cleared_of_who_shows_no_life() -> None:
    play = booted(*FLEET)
    out = only(play.change(cluster("bad"), cluster("good"), endpoints("bad"), endpoints("good"), scope("h2", "good")))
    play.settle(play.subscribe(ENDPOINTS, "good"))

    said = play.wait(1)
    assert sent(said) == [("Cluster", [], ["bad"])]

    pending = sends(play.nack(out, "Error adding bad: no")) + sends(said)
    while pending:
        send = pending.pop(0)
        is_bad = any(r.name == "bad" for r in send.resources)
        pending += sends(play.nack(send, "bad: no") if is_bad else play.ack(send))
    assert play.stream.held(CLUSTER) == {"a": "1", "good": "1"}
    assert play.stream.held(SCOPE) == {"h1": "1", "h2": "1"}
    assert [report.ref.name for report in play.stream.state().rejections] == ["bad"]


def test_nobody_is_suspected_before_the_client_has_shown_that_it_read_the_response() -> None:
    play = booted(*FLEET)
    play.change(cluster("x"), cluster("y"), endpoints("x"), endpoints("y"))
    play.subscribe(ENDPOINTS, "x")

    assert about_clusters(play.wait(60)) == []


def test_a_client_that_may_not_have_read_a_response_is_asked_once_whether_it_did() -> None:
    play = booted(*FLEET)
    play.change(cluster("x"), cluster("y"))

    (probe,) = sends(play.wait(60))
    assert (probe.type_url, probe.resources, probe.removed) == (LISTENER, (), ())

    assert sent(play.ack(probe)) == [("Cluster", [], ["x", "y"])]


def test_clusters_by_dns_are_given_the_whole_time() -> None:
    play = booted(*FLEET)
    play.change(cluster("dns"), cluster("good"), endpoints("good"))
    play.settle(play.subscribe(ENDPOINTS, "good"))

    assert sends(play.wait(9)) == []
    assert ("Cluster", [], ["dns"]) in sent(play.wait(1))


def test_slow_clusters_are_tried_again_each_alone() -> None:
    play = booted(*FLEET)
    out = only(play.change(cluster("slow"), cluster("slower")))
    play.settle(play.change(scope("h1", "a", version="2")))
    cleared = only(play.wait(10))
    assert cleared.removed == ("slow", "slower")

    play.ack(out)
    first = only(play.ack(cleared))
    assert [r.name for r in first.resources] == ["slow"]
    assert about_clusters(play.wait(9)) == []

    play.settle([first])
    assert set(play.stream.held(CLUSTER)) == {"a", "slow", "slower"}


def test_a_cluster_that_is_slow_alone_gets_twice_the_time_at_each_try() -> None:
    play = booted(*FLEET)
    out = only(play.change(cluster("slow")))
    begun = play.now
    tries: list[float] = []

    while len(tries) < 4:
        said = play.wait(1)
        for send in sends(said):
            if send.type_url == CLUSTER and send.removed:
                tries.append(play.now - begun)
                begun = play.now
                play.ack(out)
                out = next(s for s in about_clusters(play.ack(send)) if s.resources)
            elif send.type_url != CLUSTER:
                play.ack(send)

    assert tries == [20, 40, 80, 160]
    play.ack(out)
    assert set(play.stream.held(CLUSTER)) == {"a", "slow"}


def test_changed_clusters_that_stay_unanswered_are_put_back_and_tried_again() -> None:
    play = booted(*FLEET, cluster("b"), endpoints("b"))
    said = play.change(cluster("a", "2"), cluster("b", "2"))
    out = sends(said)[0]
    play.settle([send for send in sends(said) if send.type_url == ENDPOINTS])

    back = sends(play.wait(10))[0]
    assert [(r.name, r.version) for r in back.resources] == [("a", "1"), ("b", "1")]

    play.ack(out)
    said = play.settle(play.ack(back))
    assert play.stream.held(CLUSTER) == {"a": "2", "b": "2"}


def test_a_cluster_that_was_presumed_live_is_not_taken_from_its_routes() -> None:
    play = booted(*FLEET)
    out = only(play.change(cluster("x"), cluster("bad"), endpoints("x"), scope("h2", "x")))
    play.settle(play.subscribe(ENDPOINTS, "x"))
    play.settle([send for send in sends(play.wait(10)) if send.type_url != CLUSTER])
    assert "h2" in play.stream.held(SCOPE)

    said = play.nack(out, "x and bad are both to blame")

    assert not any("x" in send.removed for send in sends(said))
