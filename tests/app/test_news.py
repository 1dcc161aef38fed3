"""News: problems come and go, changes become live; nothing is told twice."""

from seawall.app.deliver import Delivered
from seawall.app.news import Event, News
from seawall.app.problems import ProblemBook
from seawall.fleet.wire import Applied, Heartbeat
from seawall.gateway.graph import GraphChange, ObjectKey
from seawall.gateway.status import Problem, Status
from seawall.kit.place import Place
from seawall.kit.units import Seconds
from seawall.source.change import SourceProblem

ROUTE = ObjectKey("HTTPRoute/shop/api")


class Teller:
    """A control plane with one route, and somebody who listens."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.line = 1
        self.book = ProblemBook(lambda key, path: Place(file="api.yaml", line=self.line, column=1))
        self.news = News(self.book, self.events.append)

    def step(self, *messages: str, version: str = "", put: tuple[ObjectKey, ...] = (ROUTE,)) -> None:
        found = tuple(Problem(object=ROUTE, path="$", message=message) for message in messages)
        status = Status(object=ROUTE, body={}, problems=found)
        delivered = Delivered(
            put=put,
            removed=(),
            graph=GraphChange(statuses=frozenset({ROUTE})),
            version=version,
            is_published=bool(version),
            resolved_in=Seconds(0),
            built_in=Seconds(0),
        )
        self.news.delivered(delivered, lambda key: status)

    def applied(self, version: str) -> None:
        self.news.reported("e1", Applied(version=version, at=0))

    def beat(self, envoy: str, fallback: str = "") -> None:
        beat = Heartbeat(at=0, running="", is_ready=True, envoy="live", fallback=fallback)
        if envoy == "down":
            beat = Heartbeat(at=0, running="", is_ready=False, envoy="down")
        self.news.reported("e1", beat)

    @property
    def told(self) -> list[tuple[str, str]]:
        return [(event.kind, event.text) for event in self.events]


def test_a_problem_is_told_once_and_its_end_once() -> None:
    teller = Teller()

    teller.step("no such Service")
    teller.line = 7
    teller.step("no such Service")
    teller.step()

    assert teller.told == [("problem", "no such Service"), ("solved", "no such Service")]
    assert teller.events[0].problem is not None
    assert teller.events[0].problem["place"] == "api.yaml:1:1"


def test_a_file_that_is_broken_is_told() -> None:
    teller = Teller()
    problem = Problem(object=ObjectKey(""), path="$", message="no YAML")

    teller.book.note_files({"a.yaml": (SourceProblem(problem=problem, place=Place(file="a.yaml", line=2)),)})
    teller.step()
    teller.book.note_files({"a.yaml": ()})
    teller.step()

    assert teller.told == [("problem", "no YAML"), ("solved", "no YAML")]


def test_what_becomes_live_is_told_but_not_the_beginning() -> None:
    teller = Teller()

    teller.step(version="1")
    teller.applied("1")
    teller.step(version="2")
    teller.applied("2")
    teller.applied("2")

    assert teller.told == [("live", "HTTPRoute shop/api")]


def test_versions_that_were_merged_on_their_way_are_told_with_the_one_that_came() -> None:
    teller = Teller()
    teller.step(version="1")
    teller.applied("1")

    others = tuple(ObjectKey(f"HTTPRoute/shop/r{number}") for number in range(4))
    teller.step(version="2", put=others[:2])
    teller.step(version="3", put=others[2:])
    teller.applied("3")

    assert teller.told == [("live", "HTTPRoute shop/r0, HTTPRoute shop/r1, HTTPRoute shop/r2 and 1 more")]


def test_an_envoy_that_dies_and_comes_back_is_told() -> None:
    teller = Teller()

    for envoy in ("down", "live", "live", "down", "live"):
        teller.beat(envoy)
    teller.beat("live", fallback="it died twice")

    assert [text for _, text in teller.told] == [
        "e1: Envoy is down",
        "e1: Envoy is live",
        "e1: Envoy is live: it died twice",
    ]


def test_of_a_flood_of_problems_some_are_told_and_the_rest_counted() -> None:
    teller = Teller()
    flood = [f"no such Service {number:03}" for number in range(100)]

    teller.step(*flood)
    teller.step()

    assert [kind for kind, _ in teller.told] == ["problem"] * 20 + ["more"] + ["solved"] * 20
    assert "80 more problems" in teller.told[20][1]
