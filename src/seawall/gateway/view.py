"""View: what one computation may see, and the memory of who has looked at what.

Pure. Everything the resolver derives is a *cell*: a rule and a key. A rule is a pure function of its key that sees the
world only through a `View`; the view writes down what was asked. When something changes, exactly the cells that asked
for it are computed again, lowest rule first, and a cell whose value comes out the same stops the wave there.

    objects ─▶ indexes ─▶ cells ─▶ (what cells publish) indexes ─▶ cells …

- An *index* is a set of buckets, a bucket maps members to values. Objects and cells publish into buckets; the member is
  the object's key, or the cell itself, so that two rules never overwrite each other.
- A rule with `each` has one cell for every bucket of that index that is not empty; other cells live while read.

The full rebuild is the same code: a fresh `Cells` that is given everything.
Next room: `gateway.resolve` lists the rules in their order.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any, Final, Generic, TypeVar

from seawall.gateway.graph import ObjectKey
from seawall.gateway.objects import Object

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
M = TypeVar("M", bound=Hashable)

Entries = Mapping[tuple["Index[Any, Any, Any]", Hashable], object]
"""What an object or a cell publishes: for an index and a bucket, the value it has there."""
Published = dict[tuple["Index[Any, Any, Any]", Hashable], object]
"""The same while it is being collected."""
_Source = tuple[object, Hashable]
"""Something that can be read: (an index, a bucket), (a rule, a key), (a name of a table of facts, a key)."""


class Index(Generic[K, M, V]):
    """Buckets `K` of members `M` with a value `V` each."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name: Final = name

    def __repr__(self) -> str:
        return f"Index({self.name})"

    def at(self, bucket: K) -> tuple["Index[Any, Any, Any]", Hashable]:
        """Name a bucket in `Entries`."""
        return self, bucket


class Rule(Generic[K, V]):
    """How one kind of derived value is computed, and what it publishes."""

    __slots__ = ("compute", "each", "name", "publish")

    def __init__(
        self,
        compute: "Callable[[View, K], V]",
        *,
        publish: Callable[[K, V], Entries] | None = None,
        each: Index[K, Any, Any] | None = None,
    ) -> None:
        self.name: Final = compute.__name__
        self.compute: Final = compute
        self.publish: Final = publish
        self.each: Final = each

    def __repr__(self) -> str:
        return f"Rule({self.name})"


class View:
    """The world as one computation sees it. Every question is remembered as a reason to compute again."""

    __slots__ = ("_cells", "reads")

    def __init__(self, cells: "Cells") -> None:
        self._cells = cells
        self.reads: set[_Source] = set()

    def object(self, key: ObjectKey) -> Object | None:
        """Look up an object that is there and has a valid shape."""
        self.reads.add((OBJECTS, key))
        return self._cells.objects.get(key)

    def fact(self, table: str, key: Hashable) -> Any:
        """Look up what the caller of `update` said beside the objects; None if nothing."""
        self.reads.add((table, key))
        return self._cells.facts.get((table, key))

    def bucket(self, index: Index[K, M, V], bucket: K) -> Mapping[M, V]:
        """Return the members of a bucket with their values. Read it now: it changes at the next update."""
        self.reads.add((index, bucket))
        return self._cells.buckets.get((index, bucket), _EMPTY)

    def get(self, rule: Rule[K, V], key: K) -> V:
        """Return the value of another cell, of a lower rule."""
        self.reads.add((rule, key))
        return self._cells.value(rule, key)


OBJECTS: Final = "objects"
_EMPTY: Final[Mapping[Any, Any]] = {}
_MISSING: Final = object()


class Cells:
    """All derived values, kept true. The one mutable thing behind the resolver."""

    def __init__(self, rules: Iterable[Rule[Any, Any]], publish: Callable[[Object], Entries]) -> None:
        self.objects: dict[ObjectKey, Object] = {}
        self.facts: dict[tuple[str, Hashable], object] = {}
        self.buckets: dict[_Source, dict[Any, Any]] = {}
        self._publish_object = publish
        self._rank = {rule: rank for rank, rule in enumerate(rules)}
        self._rules = list(self._rank)
        self._each: dict[object, list[Rule[Any, Any]]] = {}
        for rule in self._rules:
            if rule.each is not None:
                self._each.setdefault(rule.each, []).append(rule)
        self._values: dict[_Source, object] = {}
        self._reads: dict[_Source, set[_Source]] = {}
        self._readers: dict[_Source, set[_Source]] = {}
        self._dirty: list[set[Hashable]] = [set() for _ in self._rules]
        self._idle: set[_Source] = set()
        self._before: dict[_Source, object] = {}
        self.computed = 0

    def put(self, obj: Object) -> None:
        """Add or replace an object."""
        old = self.objects.get(obj.key)
        if old == obj:
            return
        self.objects[obj.key] = obj
        self._touch((OBJECTS, obj.key))
        self._republish(obj.key, self._publish_object(old) if old else {}, self._publish_object(obj))

    def remove(self, key: ObjectKey) -> None:
        """Forget an object."""
        old = self.objects.pop(key, None)
        if old is not None:
            self._touch((OBJECTS, key))
            self._republish(key, self._publish_object(old), {})

    def set_facts(self, table: str, facts: Mapping[Any, object]) -> None:
        """Replace one table of facts."""
        gone = [key for (name, key) in self.facts if name == table and key not in facts]
        for key in gone:
            del self.facts[table, key]
            self._touch((table, key))
        for key, fact in facts.items():
            if self.facts.get((table, key)) != fact:
                self.facts[table, key] = fact
                self._touch((table, key))

    def value(self, rule: Rule[K, V], key: K) -> V:
        """Return a cell's value, computed now if it is not known or no longer true."""
        cell = (rule, key)
        if key in self._dirty[self._rank[rule]] or cell not in self._values:
            self._compute(rule, key)
        return self._values[cell]  # type: ignore[return-value]  # the rule that made the cell has the type V

    def settle(self) -> dict[_Source, tuple[object, object]]:
        """Compute whatever is not true any more; return each changed cell with its value before and after (None: none)."""
        while True:
            rank = next((rank for rank, dirty in enumerate(self._dirty) if dirty), None)
            if rank is not None:
                rule = self._rules[rank]
                for key in tuple(self._dirty[rank]):
                    # A cell computed on demand meanwhile is clean already.
                    if key in self._dirty[rank]:
                        self._compute(rule, key)
                if not self._dirty[rank]:
                    # A set keeps the room it once needed, and walking over it costs that much every time.
                    self._dirty[rank].clear()
            elif self._idle:
                self._sweep()
            else:
                break
        before, self._before = self._before, {}
        changes = {cell: (old, self._values.get(cell)) for cell, old in before.items()}
        return {cell: change for cell, change in changes.items() if change[0] != change[1]}

    def _compute(self, rule: Rule[Any, Any], key: Hashable) -> None:
        cell = (rule, key)
        view = View(self)
        value = rule.compute(view, key)
        self.computed += 1
        self._dirty[self._rank[rule]].discard(key)
        self._reread(cell, view.reads)
        old = self._values.get(cell, _MISSING)
        if old is _MISSING or old != value:
            self._store(cell, rule, old, value)
        if old is _MISSING:
            self._idle.add(cell)

    def _store(self, cell: _Source, rule: Rule[Any, Any], old: object, value: object) -> None:
        self._before.setdefault(cell, None if old is _MISSING else old)
        if value is _MISSING:
            del self._values[cell]
        else:
            self._values[cell] = value
        self._touch(cell)
        if rule.publish is not None:
            before = {} if old is _MISSING else rule.publish(cell[1], old)
            after = {} if value is _MISSING else rule.publish(cell[1], value)
            self._republish(cell, before, after)

    def _reread(self, cell: _Source, reads: set[_Source]) -> None:
        before = self._reads.get(cell, set())
        for source in before - reads:
            readers = self._readers[source]
            readers.discard(cell)
            if not readers:
                del self._readers[source]
                self._idle.add(source)
        for source in reads - before:
            self._readers.setdefault(source, set()).add(cell)
        self._reads[cell] = reads

    def _touch(self, source: _Source) -> None:
        for rule, key in self._readers.get(source, ()):
            self._dirty[self._rank[rule]].add(key)  # type: ignore[index]  # readers are cells, so this is a rule

    def _republish(self, member: Hashable, before: Entries, after: Entries) -> None:
        for source in before:
            if source not in after:
                bucket = self.buckets[source]
                del bucket[member]
                if not bucket:
                    del self.buckets[source]
                    self._idle.update((rule, source[1]) for rule in self._each.get(source[0], ()))
                self._touch(source)
        for source, value in after.items():
            bucket = self.buckets.setdefault(source, {})
            if not bucket:
                for rule in self._each.get(source[0], ()):
                    if (rule, source[1]) not in self._values:
                        self._dirty[self._rank[rule]].add(source[1])
            if bucket.get(member, _MISSING) != value:
                bucket[member] = value
                self._touch(source)

    def _sweep(self) -> None:
        """Forget cells that nobody reads and no bucket asks for; that may free what they read."""
        idle, self._idle = self._idle, set()
        for cell in idle:
            rule, key = cell
            if not isinstance(rule, Rule) or cell not in self._values or cell in self._readers:
                continue
            if rule.each is not None and (rule.each, key) in self.buckets:
                continue
            self._reread(cell, set())
            del self._reads[cell]
            self._dirty[self._rank[rule]].discard(key)
            self._store(cell, rule, self._values[cell], _MISSING)
