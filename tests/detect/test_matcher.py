"""The matcher says of columns what scopes say of requests."""

from hypothesis import given
from hypothesis import strategies as st
from tests.detect.world import AT, rows

from seawall.detect.matcher import Matcher, ranked
from seawall.detect.scope import scope
from seawall.detect.verdict import Action, Author, Verdict
from seawall.kit.units import Instant

VALUES = st.sampled_from(("1", "2", "3"))
SCOPES = st.builds(
    scope, st.sampled_from(("", "shop")), st.dictionaries(st.sampled_from(("agent", "path", "ja4")), VALUES, max_size=3)
)
REQUESTS = st.lists(st.fixed_dictionaries({"agent": VALUES, "path": VALUES, "ja4": VALUES}), max_size=20)


@given(scopes=st.lists(SCOPES, max_size=8), requests=REQUESTS)
def test_tables_say_what_scopes_say(scopes: list, requests: list[dict[str, str]]) -> None:  # type: ignore[type-arg]
    table = Matcher((str(rank), one) for rank, one in enumerate(scopes))

    found = table.look_up(rows(*requests))

    for request, name in zip(requests, found, strict=True):
        first = next((str(rank) for rank, one in enumerate(scopes) if one.holds({"route": "shop", **request})), "")
        assert name == first


def test_networks_of_any_length_match_addresses() -> None:
    table = Matcher([("net", scope("", {"address": "192.0.2.0/28"})), ("one", scope("", {"address": "192.0.2.1"}))])

    found = table.look_up(rows({"address": "192.0.2.1"}, {"address": "192.0.2.15"}, {"address": "192.0.2.16"}))

    assert found == ["net", "net", ""]
    assert table and not Matcher(())


def verdict(name: str, rung: int, author: Author = "auto", kind: str = "deny") -> Verdict:
    return Verdict(
        id=name,
        generation=1,
        created=AT,
        expires=Instant(AT + 60),
        mode="enforce",
        scope=scope("", {"agent": name}),
        action=Action(kind=kind),  # type: ignore[arg-type]
        rung=rung,
        author=author,
    )


def test_a_persons_deny_comes_before_allows_and_these_before_all_else() -> None:
    mixed = [verdict("auto", 5), verdict("drop", 6), verdict("allow", 0, "human", "allow"), verdict("ban", 5, "human")]

    assert [one.id for one in ranked(mixed)] == ["ban", "allow", "drop", "auto"]
