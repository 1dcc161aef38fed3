"""Cells know who has looked at what."""

from seawall.gateway.objects import Object
from seawall.gateway.resources.core import NamespaceSpec
from seawall.gateway.view import Cells, Entries, Index, Rule, View
from tests.gateway.world import made

LABELLED = Index[str, str, str]("objects by label")
COUNTED = Index[int, object, bool]("cells by length")


def _publish(obj: Object) -> Entries:
    return {LABELLED.at(key): value for key, value in obj.meta.labels.items()}


def length(view: View, label: str) -> int:
    return sum(len(value) for value in view.bucket(LABELLED, label).values())


def _publish_length(label: str, found: int) -> Entries:
    return {COUNTED.at(found): True} if label else {}


LENGTH = Rule(length, each=LABELLED, publish=_publish_length)


def is_long(view: View, label: str) -> bool:
    return view.get(LENGTH, label) > 3


LONG = Rule(is_long)


def verdict(view: View, label: str) -> str:
    return "long" if view.get(LONG, label) else "short"


VERDICT = Rule(verdict, each=LABELLED)


def _cells() -> Cells:
    return Cells((LENGTH, LONG, VERDICT), _publish)


def _thing(name: str, **labels: str) -> Object:
    return made("Namespace", name, {}, labels=labels)


def test_a_cell_appears_with_its_bucket_and_goes_with_it() -> None:
    cells = _cells()
    thing = _thing("one", size="ab")
    cells.put(thing)
    cells.settle()

    cells.remove(thing.key)
    changes = cells.settle()

    assert changes[VERDICT, "size"] == ("short", None)
    assert not cells.buckets


def test_the_wave_stops_where_a_value_comes_out_the_same() -> None:
    cells = _cells()
    cells.put(_thing("one", size="ab"))
    cells.settle()
    before = cells.computed

    cells.put(_thing("one", size="abc"))
    changes = cells.settle()

    assert set(changes) >= {(LENGTH, "size")}
    assert (VERDICT, "size") not in changes
    # LENGTH, LONG and whatever the API's own label made: never VERDICT.
    assert cells.computed - before == 2


def test_putting_the_same_or_removing_the_unknown_changes_nothing() -> None:
    cells = _cells()
    thing = _thing("one", size="ab")
    cells.put(thing)
    cells.settle()

    cells.put(_thing("one", size="ab"))
    cells.remove(_thing("two").key)

    assert cells.settle() == {}


def test_a_fact_that_changes_is_noticed_by_who_asked() -> None:
    def asked(view: View, label: str) -> object:
        return (view.fact("moods", label), view.object(_thing("one").key) is not None)

    rule = Rule(asked, each=LABELLED)
    cells = Cells((rule,), _publish)
    cells.put(_thing("one", size="ab"))
    cells.set_facts("moods", {"size": "good"})
    cells.settle()

    cells.set_facts("moods", {"size": "bad", "other": "good"})
    changes = cells.settle()
    cells.set_facts("moods", {})

    assert changes[rule, "size"] == (("good", True), ("bad", True))
    assert cells.settle()[rule, "size"][1] == (None, True)


def test_rules_and_indexes_show_their_names() -> None:
    assert (repr(LENGTH), repr(LABELLED)) == ("Rule(length)", "Index(objects by label)")
    assert isinstance(_thing("one").spec, NamespaceSpec)


def test_cells_of_one_rule_may_read_each_other() -> None:
    def depth(view: View, label: str) -> int:
        return view.get(rule, label[1:]) + 1 if view.bucket(LABELLED, label) and len(label) > 1 else 0

    rule: Rule[str, int] = Rule(depth, each=LABELLED)
    cells = Cells((rule,), _publish)
    cells.put(_thing("one", abc="x", bc="x", c="x"))

    changes = cells.settle()

    assert changes[rule, "abc"] == (None, 2)


def test_cells_of_one_rule_may_see_each_other_through_an_index() -> None:
    seen = Index[str, object, bool]("all of them")

    def count(view: View, label: str) -> int:
        return len(view.bucket(seen, "")) if label else 0

    rule = Rule(count, each=LABELLED, publish=lambda label, found: {seen.at(""): True} if label else {})
    cells = Cells((rule,), _publish)
    cells.put(_thing("one", a="x", b="x", c="x"))

    changes = cells.settle()

    # The label that the API gives to each Namespace is the fourth.
    assert {after for _, after in changes.values()} == {4}
