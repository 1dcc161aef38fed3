"""The catalog: what is valid stays live, whatever becomes of the files."""

from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from seawall.gateway.graph import ObjectKey
from seawall.gateway.objects import Object
from seawall.gateway.resources.http import HTTPRouteSpec
from seawall.gateway.status import Problem
from seawall.kit.errors import ConfigError
from seawall.kit.units import Instant
from seawall.source.catalog import Catalog
from seawall.source.change import SourceChange
from seawall.source.journal import Journal
from seawall.source.parse import parse


def route(name: str, host: str = "a.example.com", namespace: str = "shop", **metadata: Any) -> str:
    extra = "".join(f", {key}: {value!r}" for key, value in metadata.items())
    return (
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n"
        f"metadata: {{name: {name}, namespace: {namespace}{extra}}}\nspec:\n  hostnames: [{host}]\n"
    )


NAMELESS = "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {naem: a}\nspec: {}\n"


def _no_example_net(obj: Object) -> tuple[Problem, ...]:
    is_there = isinstance(obj.spec, HTTPRouteSpec) and obj.spec.hostnames == ("example.net",)
    return (Problem(object=obj.key, path="$.spec.hostnames", message="Not here."),) if is_there else ()


class Files:
    """A catalog, fed with text, and what its changes add up to."""

    def __init__(self, journal: Path | None = None, max_objects: int = 100) -> None:
        self.contents: dict[str, bytes] = {}
        self.catalog = Catalog(Journal(journal), max_objects, self.contents.get, _no_example_net)
        self.live: dict[ObjectKey, Object] = {}
        self.problems: dict[str, list[str]] = {}

    def put(self, file: str, *texts: str, at: float = 0.0) -> SourceChange:
        self.stage(file, *texts)
        return self.flush(at)

    def stage(self, file: str, *texts: str) -> None:
        self.contents[file] = "".join(texts).encode()
        try:
            self.catalog.put(file, self.contents[file], parse(file, self.contents[file]))
        except ConfigError as error:
            self.catalog.fail(file, error)

    def drop(self, file: str) -> SourceChange:
        self.contents.pop(file)
        self.catalog.drop(file)
        return self.flush()

    def flush(self, at: float = 0.0) -> SourceChange:
        change = self.catalog.flush(Instant(at))
        for thing in change.put:
            self.live[thing.key] = thing
        for key in change.remove:
            del self.live[key]
        for file, problems in change.problems.items():
            self.problems[file] = [f"{problem.place}: {problem.problem.message}" for problem in problems]
        return change

    @property
    def hosts(self) -> dict[str, str]:
        return {
            thing.meta.name: thing.spec.hostnames[0]
            for thing in self.live.values()
            if isinstance(thing.spec, HTTPRouteSpec)
        }


def test_what_a_check_finds_wrong_is_told_and_the_last_version_stays() -> None:
    files = Files()
    files.put("a.yaml", route("x"))

    files.put("a.yaml", route("x", "example.net"), route("y", "example.net"))

    assert files.hosts == {"x": "a.example.com"}
    assert files.problems["a.yaml"] == ["a.yaml:6:3: Not here.", "a.yaml:12:3: Not here."]


def test_objects_come_change_and_go() -> None:
    files = Files()

    files.put("a.yaml", route("x"), route("y"))
    assert set(files.live) == {"HTTPRoute/shop/x", "HTTPRoute/shop/y", "Namespace//shop"}

    change = files.put("a.yaml", route("x"), route("y", "b.example.com"))
    assert [thing.key for thing in change.put] == ["HTTPRoute/shop/y"]

    change = files.put("a.yaml", route("y", "b.example.com"))
    assert (change.put, change.remove) == ((), ("HTTPRoute/shop/x",))

    assert set(files.drop("a.yaml").remove) == {"HTTPRoute/shop/y", "Namespace//shop"}


def test_nothing_changed_is_an_empty_change() -> None:
    files = Files()
    files.put("a.yaml", route("x"))

    assert files.put("a.yaml", "# a comment\n", route("x"), at=9.0).is_empty


def test_generation_counts_changes_of_the_spec_only() -> None:
    files = Files()
    key = ObjectKey("HTTPRoute/shop/x")

    generations = []
    for text in (route("x"), route("x", labels={"a": "b"}), route("x", "b.example.com"), route("x", "c.example.com")):
        files.put("a.yaml", text)
        generations.append(files.live[key].meta.generation)

    assert generations == [1, 1, 2, 3]


def test_creation_time_is_the_first_sight_unless_written() -> None:
    files = Files()
    key = ObjectKey("HTTPRoute/shop/x")

    files.put("a.yaml", route("x"), at=5.7)
    files.put("a.yaml", route("x", "b.example.com"), at=9.0)
    assert files.live[key].meta.created == 5.0

    files.put("a.yaml", route("x", creationTimestamp="1970-01-01T00:00:03Z"), at=10.0)
    assert files.live[key].meta.created == 3.0


def test_age_and_generation_survive_a_restart(tmp_path: Path) -> None:
    before = Files(tmp_path / "journal")
    before.put("a.yaml", route("x"), route("y"), at=5.0)
    before.put("a.yaml", route("x", "b.example.com"), route("y"), at=6.0)

    after = Files(tmp_path / "journal")
    after.put("a.yaml", route("x", "b.example.com"), route("y", "c.example.com"), at=50.0)

    ages = {thing.meta.name: (thing.meta.created, thing.meta.generation) for thing in after.live.values()}
    assert ages == {"x": (5.0, 2), "y": (5.0, 2), "shop": (5.0, 1)}


def test_a_file_that_cannot_be_parsed_keeps_its_objects() -> None:
    files = Files()
    files.put("a.yaml", route("x"))

    change = files.put("a.yaml", route("x", "b.example.com"), "a: [")

    assert (change.put, change.remove) == ((), ())
    assert files.problems["a.yaml"][0].startswith("a.yaml:8:1: The file is not valid YAML")
    assert files.put("a.yaml", route("x")).problems == {"a.yaml": ()}


def test_a_document_that_is_wrong_keeps_its_object_and_the_others_go_on() -> None:
    files = Files()
    files.put("a.yaml", route("x"), route("y"), route("z"))

    files.put("a.yaml", route("x", "NOT A HOST"), route("y", "b.example.com"))

    assert files.hosts == {"x": "a.example.com", "y": "b.example.com"}
    (problem,) = files.problems["a.yaml"]
    assert problem.startswith("a.yaml:6:15: 'NOT A HOST' is not a host name")


def test_a_document_that_does_not_say_what_it_is_may_be_any_that_is_missing() -> None:
    files = Files()
    files.put("a.yaml", route("x"), route("y"))

    files.put("a.yaml", NAMELESS, route("y", "b.example.com"))
    assert files.hosts == {"x": "a.example.com", "y": "b.example.com"}

    files.put("a.yaml", route("y", "b.example.com"))
    assert files.hosts == {"y": "b.example.com"}


def test_of_two_files_the_first_seen_wins_and_the_second_takes_over() -> None:
    files = Files()
    files.put("b.yaml", route("x", "first.example.com"))

    files.put("a.yaml", route("x", "second.example.com"))
    assert files.hosts == {"x": "first.example.com"}
    assert files.problems["a.yaml"] == [
        "a.yaml:4:12: The HTTPRoute shop/x is already written in b.yaml:4:12, which counts; this one is passed over."
    ]

    change = files.drop("b.yaml")
    assert files.hosts == {"x": "second.example.com"}
    assert change.problems["a.yaml"] == ()


def test_editing_the_winner_does_not_make_it_the_younger() -> None:
    files = Files()
    files.put("a.yaml", route("x", "one.example.com"))
    files.put("b.yaml", route("x", "two.example.com"))

    files.put("a.yaml", route("x", "three.example.com"))

    assert files.hosts == {"x": "three.example.com"}


def test_the_winner_of_before_wins_after_a_restart(tmp_path: Path) -> None:
    before = Files(tmp_path / "journal")
    before.put("b.yaml", route("x", "b.example.com"))

    after = Files(tmp_path / "journal")
    after.stage("a.yaml", route("x", "a.example.com"))
    after.stage("b.yaml", route("x", "b.example.com"))
    after.flush()

    assert after.hosts == {"x": "b.example.com"}


def test_within_a_file_the_first_wins() -> None:
    files = Files()

    files.put("a.yaml", route("x"), route("x", "b.example.com"))

    assert files.hosts == {"x": "a.example.com"}
    assert "further up in this file" in files.problems["a.yaml"][0]


def test_an_object_that_moves_to_another_file_is_never_removed() -> None:
    files = Files()
    files.put("a.yaml", route("x"))

    files.catalog.fade("a.yaml")
    change = files.put("b.yaml", route("x"))
    assert (change.put, change.remove, change.problems) == ((), (), {})

    change = files.drop("a.yaml")
    assert (change.put, change.remove) == ((), ())
    assert files.hosts == {"x": "a.example.com"}


def test_a_faded_file_that_comes_back_changed_changes() -> None:
    files = Files()
    files.put("a.yaml", route("x"))
    files.catalog.fade("a.yaml")
    assert files.flush().is_empty

    files.put("a.yaml", route("x", "b.example.com"))

    assert files.hosts == {"x": "b.example.com"}


NAMESPACE = "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {team: a}}\n"


def test_namespaces_exist_while_they_are_written_or_used() -> None:
    files = Files()
    key = ObjectKey("Namespace//shop")

    files.put("a.yaml", route("x"))
    assert files.live[key].meta.labels == {"kubernetes.io/metadata.name": "shop"}

    files.put("n.yaml", NAMESPACE)
    assert files.live[key].meta.labels == {"team": "a", "kubernetes.io/metadata.name": "shop"}

    files.drop("n.yaml")
    assert files.live[key].meta.labels == {"kubernetes.io/metadata.name": "shop"}

    files.drop("a.yaml")
    assert files.live == {}


def test_lists_are_taken_apart_and_their_items_have_places() -> None:
    files = Files()
    text = """\
apiVersion: v1
kind: List
items:
- apiVersion: gateway.networking.k8s.io/v1
  kind: HTTPRoute
  metadata: {name: x}
  spec: {hostnames: [a.example.com]}
- apiVersion: gateway.networking.k8s.io/v1
  kind: HTTPRoute
  metadata: {name: y}
  spec:
    hostnames: [A]
"""
    files.put("a.yaml", text)

    assert set(files.live) == {"HTTPRoute/default/x", "Namespace//default"}
    assert files.problems["a.yaml"][0].startswith("a.yaml:12:17:")
    assert str(files.catalog.place(ObjectKey("HTTPRoute/default/x"), "$.spec.hostnames[0]")) == "a.yaml:7:22"


def test_places_are_found_in_what_is_on_disk_and_only_for_what_was_written() -> None:
    files = Files()
    files.put("a.yaml", route("x"))

    assert str(files.catalog.place(ObjectKey("HTTPRoute/shop/x"), "$.spec.hostnames[0]")) == "a.yaml:6:15"
    assert files.catalog.place(ObjectKey("Namespace//shop"), "$") is None
    files.contents.clear()
    assert str(files.catalog.place(ObjectKey("HTTPRoute/shop/x"), "$")) == "a.yaml:1:1"


def test_too_many_objects_are_passed_over_until_there_is_room() -> None:
    files = Files(max_objects=2)

    files.put("a.yaml", route("x", namespace="a"), route("y", namespace="b"), route("z", namespace="c"))
    assert set(files.hosts) == {"x", "y"}
    assert "more than 2 objects" in files.problems["a.yaml"][0]

    files.put("a.yaml", route("z", namespace="c"))
    assert set(files.hosts) == {"z"}


FILES = st.sampled_from(["a.yaml", "b.yaml", "c.yaml"])
TEXTS = st.lists(
    st.builds(route, st.sampled_from("xyz"), st.sampled_from(["a.b", "c.d", "BAD HOST"]), st.sampled_from(["m", "n"]))
    | st.sampled_from([NAMELESS, NAMESPACE, "---\n[", "---\nnull\n"]),
    max_size=4,
).map("".join)
STEPS = st.lists(st.tuples(st.sampled_from(["put", "put", "drop", "fade", "flush"]), FILES, TEXTS), max_size=12)


@given(STEPS)
def test_any_history_with_the_same_good_end_ends_alike(steps: list[tuple[str, str, str]]) -> None:
    files = Files()
    for verb, file, text in steps:
        match verb:
            case "put":
                files.stage(file, text)
            case "drop":
                files.contents.pop(file, None)
                files.catalog.drop(file)
            case "fade":
                files.catalog.fade(file)
            case "flush":
                files.flush()
    for file in ("a.yaml", "b.yaml", "c.yaml"):
        files.contents.pop(file, None)
        files.catalog.drop(file)
    files.put("a.yaml", route("x"))
    files.put("b.yaml", route("x", "b.example.com"), route("y"), NAMELESS)

    fresh = Files()
    fresh.put("a.yaml", route("x"))
    fresh.put("b.yaml", route("x", "b.example.com"), route("y"), NAMELESS)
    assert {key: thing.spec for key, thing in files.live.items()} == {k: t.spec for k, t in fresh.live.items()}
    assert files.problems["b.yaml"] == fresh.problems["b.yaml"]
    assert files.problems.get("c.yaml", []) == []
