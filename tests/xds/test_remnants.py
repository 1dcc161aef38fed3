"""What a refused cluster leaves behind is cleared away, and slow clusters are not mistaken for it."""

from seawall.xds.resource import CLUSTER, ENDPOINTS, SCOPE
from tests.xds.play import booted, cluster, endpoints, listener, only, rejections, scope, sends, sent

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
    assert [r.version for r in rejections(play.settle(said))] == ["2"] or play.stream.state().rejected == 1


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

    assert sends(play.wait(60)) == []


def test_clusters_by_dns_are_given_the_whole_time() -> None:
    play = booted(*FLEET)
    play.change(cluster("dns"), cluster("good"), endpoints("good"))
    play.settle(play.subscribe(ENDPOINTS, "good"))

    assert sends(play.wait(9)) == []
    assert ("Cluster", [], ["dns"]) in sent(play.wait(1))


def test_a_slow_cluster_is_cleared_away_once_and_then_left_alone() -> None:
    play = booted(*FLEET)
    out = only(play.change(cluster("slow"), cluster("slower")))
    play.settle(play.change(scope("h1", "a", version="2")))
    cleared = only(play.wait(10))
    assert cleared.removed == ("slow", "slower")

    play.ack(out)
    first = only(play.ack(cleared))
    assert [r.name for r in first.resources] == ["slow"]
    second = only(play.wait(60))
    assert [r.name for r in second.resources] == ["slower"]

    play.settle([first, second])
    assert set(play.stream.held(CLUSTER)) == {"a", "slow", "slower"}


def test_a_slow_cluster_that_was_sent_alone_is_left_alone() -> None:
    play = booted(*FLEET)
    play.change(cluster("slow"))

    assert sends(play.wait(60)) == []


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
