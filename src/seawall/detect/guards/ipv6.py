"""P4: a client of IPv6 is a /64; wider only with evidence from four children. Pure."""

from seawall.detect.guards.question import Answer, Guard, Question, narrowed, passed, refused
from seawall.detect.scope import scope

FEWEST = 4
CHILD = {"net56": "net64", "net48": "net56"}


def check(question: Question) -> Answer:
    """Widen an address to its /64, and refuse a wider network that only few of its children speak against."""
    address = question.scope.value("address")
    if address is not None and ":" in address and "/" not in address:
        return _widened(question, address)
    for parent, child in CHILD.items():
        if question.scope.value(parent) is None:
            continue
        crowd = question.sight.crowd(10)
        column = crowd.rows.column(child)
        children = {column[number] for number in crowd.inside(question.scope)}
        if len(children) < FEWEST:
            return refused(f"only {len(children)} networks of {question.scope.value(parent)} speak against it")
        return passed(f"{len(children)} networks of it speak against it")
    return passed("it names no IPv6 network wider than /64")


def _widened(question: Question, address: str) -> Answer:
    crowd = question.sight.crowd(10)
    column = crowd.rows.column("net64")
    networks = {column[number] for number in crowd.inside(scope("", {"address": address}))}
    if len(networks) != 1 or not min(networks):
        return passed("its /64 is unknown: the address alone")
    values = {one.field: one.value for one in question.scope.match if one.field != "address"}
    wider = scope(question.scope.route, {**values, "net64": min(networks)})
    return narrowed(wider, "a client of IPv6 is a /64")


GUARD = Guard(
    id="P4",
    title="IPv6 prefix",
    rule="IPv6 is judged by /64, by /56 and /48 only with evidence from four children.",
    where="`detect.detectors.prefix` rolls up",
    check=check,
)
