"""Catalog: which file says what of which object, and whose version is live.

No I/O, but the journal's: contents and times come in, changes go out. What the API server does, as far as it needs a
memory, is done here: generations, creation times, Namespaces that nobody wrote.

Of two files that say something of the same object the one first seen wins (at a start: the one that won before, else the
first by name), and the other gets a problem; when the first goes, the second takes over.
"""

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from seawall.gateway.decode import decode
from seawall.gateway.graph import ObjectKey
from seawall.gateway.identify import identity
from seawall.gateway.objects import Meta, Object, object_key
from seawall.gateway.resources.core import NAMESPACE_NAME_LABEL, NamespaceSpec
from seawall.gateway.status import Problem
from seawall.kit.errors import ConfigError
from seawall.kit.place import Place
from seawall.kit.units import Instant
from seawall.source.change import SourceChange, SourceProblem
from seawall.source.documents import Document, documents
from seawall.source.journal import Entry, Journal, spec_digest
from seawall.source.locate import Marks, steps

_NOWHERE = ObjectKey("")


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """What one document of one file says. `is_stale`: the document is wrong now, this is its last good version."""

    file: str
    document: Document
    object: Object
    order: int
    is_stale: bool = False


class _File:
    """What is known of one file."""

    __slots__ = ("claims", "is_fading", "marks", "shown", "trouble", "wrong")

    def __init__(self) -> None:
        self.claims: dict[ObjectKey, Claim] = {}
        self.wrong: list[tuple[Document, Problem]] = []
        self.trouble: SourceProblem | None = None
        self.is_fading = False
        self.shown: tuple[SourceProblem, ...] = ()
        self.marks: Callable[[Iterable[int]], Marks] | None = None


class Catalog:
    """The state of a source. `put`, `fail`, `fade`, `drop` tell what files say; `flush` tells what that changes."""

    def __init__(
        self,
        journal: Journal,
        max_objects: int,
        read: Callable[[str], bytes | None],
        check: Callable[[Object], tuple[Problem, ...]] = lambda _: (),
    ) -> None:
        self._check = check
        self._journal = journal
        self._remembered = journal.read()
        self._max_objects = max_objects
        self._read = read
        self._files: dict[str, _File] = {}
        self._claims: dict[ObjectKey, tuple[Claim, ...]] = {}
        self._live: dict[ObjectKey, Object] = {}
        self._users: dict[str, int] = {}
        self._touched: dict[ObjectKey, None] = {}
        self._touched_files: dict[str, None] = {}
        self._left_out: dict[ObjectKey, None] = {}
        self._order = 0
        self._marked: tuple[str, bytes, Marks] | None = None

    def is_troubled(self, file: str) -> bool:
        """Say whether the file could not be read or parsed when it was last tried."""
        known = self._files.get(file)
        return known is not None and known.trouble is not None

    # ── what files say ───────────────────────────────────────────────────────────────────────────────────────────

    def put(self, file: str, raw: bytes, values: list[Any]) -> None:
        """A file was read: its objects are now these."""
        known = self._files.setdefault(file, _File())
        known.trouble, known.is_fading, known.wrong = None, False, []
        known.marks = lambda numbers: Marks(file, raw, numbers)
        claims: dict[ObjectKey, Claim] = {}
        is_anonymous = False
        for document in documents(values):
            decoded = decode(document.value)
            if isinstance(decoded, Object):
                decoded = self._check(decoded) or decoded
            key = decoded.key if isinstance(decoded, Object) else identity(document.value)
            place = Document(number=document.number, prefix=document.prefix)
            if not isinstance(decoded, Object):
                known.wrong += [(place, problem) for problem in decoded]
                is_anonymous |= key is None and any(problem.severity == "error" for problem in decoded)
            if key is None or key in claims:
                if key is not None and isinstance(decoded, Object):
                    known.wrong.append((place, _twice(key, claims[key])))
                continue
            old = known.claims.get(key)
            if isinstance(decoded, Object):
                claims[key] = self._claim(file, place, decoded, old)
            elif old is not None and decoded:
                claims[key] = msgspec.structs.replace(old, document=place, is_stale=True)
        if is_anonymous:
            # One of the documents does not say what it is: it may be any of those that are missing now.
            claims = {**{key: claim for key, claim in known.claims.items() if key not in claims}, **claims}
        self._replace(file, known, claims)

    def fail(self, file: str, error: ConfigError) -> None:
        """A file cannot be read or parsed: its objects stay as they were."""
        known = self._files.setdefault(file, _File())
        problem = Problem(object=_NOWHERE, path="$", message=error.message, hint=error.hint)
        known.trouble = SourceProblem(problem=problem, place=error.place or Place(file=file))
        known.is_fading = False
        self._touched.update(dict.fromkeys(known.claims))
        self._touched_files[file] = None

    def fade(self, file: str) -> None:
        """A file has vanished and may come back: its objects stay, unless another file has them."""
        known = self._files.get(file)
        if known is not None:
            known.is_fading = True
            for key in known.claims:
                self._touch(key)

    def drop(self, file: str) -> None:
        """A file is gone, and so are its objects."""
        known = self._files.get(file)
        if known is not None:
            known.wrong, known.trouble = [], None
            self._replace(file, known, {})

    def _claim(self, file: str, document: Document, thing: Object, old: Claim | None) -> Claim:
        if old is not None:
            return Claim(file=file, document=document, object=thing, order=old.order)
        self._order += 1
        remembered = self._remembered.get(thing.key) if thing.key not in self._live else None
        order = -1 if remembered is not None and remembered.file == file else self._order
        return Claim(file=file, document=document, object=thing, order=order)

    def _replace(self, file: str, known: _File, claims: dict[ObjectKey, Claim]) -> None:
        for key in known.claims.keys() - claims.keys():
            rest = tuple(claim for claim in self._claims[key] if claim.file != file)
            if rest:
                self._claims[key] = rest
            else:
                del self._claims[key]
            self._touch(key)
        for key, claim in claims.items():
            if known.claims.get(key) is claim:
                continue
            others = tuple(other for other in self._claims.get(key, ()) if other.file != file)
            self._claims[key] = tuple(sorted((*others, claim), key=lambda c: c.order)) if others else (claim,)
            self._touch(key)
        known.claims = claims
        self._touched_files[file] = None

    def _touch(self, key: ObjectKey) -> None:
        self._touched[key] = None
        # Whoever else claims it may now have, or have lost, a problem.
        others = self._claims.get(key, ())
        if len(others) > 1 or (others and self._files[others[0].file].shown):
            self._touched_files.update(dict.fromkeys(claim.file for claim in others))

    # ── what that changes ────────────────────────────────────────────────────────────────────────────────────────

    def flush(self, now: Instant) -> SourceChange:
        """Say what has changed since the last time."""
        put: list[Object] = []
        remove: list[ObjectKey] = []
        spaces = {key: None for key in self._touched if key.startswith("Namespace/")}
        entries: list[Entry] = []
        self._retry_left_out()
        for key in self._touched:
            if key not in spaces:
                self._flush_one(key, now, put, remove, entries)
        for name in {key.split("/")[1] for key in (*remove, *(thing.key for thing in put))}:
            if name:
                spaces[object_key("Namespace", "", name)] = None
        for key in spaces:
            self._flush_one(key, now, put, remove, entries)
        self._touched = {}
        problems = self._flush_problems()
        self._journal.append(entries)
        return SourceChange(put=tuple(put), remove=tuple(remove), problems=problems)

    def _retry_left_out(self) -> None:
        if self._left_out and self._touched:
            left_out, self._left_out = self._left_out, {}
            for key in left_out:
                self._touched[key] = None
                self._touched_files.update(dict.fromkeys(claim.file for claim in self._claims.get(key, ())))

    def _flush_one(
        self, key: ObjectKey, now: Instant, put: list[Object], remove: list[ObjectKey], entries: list[Entry]
    ) -> None:
        claim = self._winner(key)
        wanted = claim.object if claim is not None else self._implied(key)
        old = self._live.get(key)
        if wanted is None:
            if old is not None:
                del self._live[key]
                self._remembered.pop(key, None)
                self._count(old, -1)
                remove.append(key)
                entries.append(Entry(key=key, created=Instant(0.0), generation=0))
            return
        if old is None and len(self._live) >= self._max_objects:
            self._left_out[key] = None
            return
        live, entry = self._aged(wanted, old, claim.file if claim is not None else "-", now)
        if live == old:
            return
        self._live[key] = live
        if old is None:
            self._count(live, 1)
        put.append(live)
        if self._remembered.get(key) != entry:
            entries.append(entry)
            if self._journal.is_kept:
                self._remembered[key] = entry

    def _winner(self, key: ObjectKey) -> Claim | None:
        claims = self._claims.get(key, ())
        if len(claims) == 1:
            return claims[0]
        return next((claim for claim in claims if not self._files[claim.file].is_fading), claims[0] if claims else None)

    def _implied(self, key: ObjectKey) -> Object | None:
        kind, _, name = key.split("/")
        if kind != "Namespace" or name not in self._users:
            return None
        return Object(kind=kind, meta=Meta(name=name, labels={NAMESPACE_NAME_LABEL: name}), spec=NamespaceSpec())

    def _count(self, thing: Object, step: int) -> None:
        name = thing.meta.namespace
        if name:
            self._users[name] = self._users.get(name, 0) + step
            if not self._users[name]:
                del self._users[name]

    def _aged(self, wanted: Object, old: Object | None, file: str, now: Instant) -> tuple[Object, Entry]:
        """Add what has grown with time: the creation time (a written one wins) and the generation."""
        key = wanted.key
        entry = self._remembered.get(key)
        has_entry = entry is not None
        digest = spec_digest(wanted) if self._journal.is_kept else ""
        created, generation = Instant(float(int(now))), 1
        if old is not None:
            created, generation = old.meta.created, old.meta.generation + (old.spec != wanted.spec)
        elif has_entry and entry is not None:
            created, generation = entry.created, entry.generation + (entry.digest != digest)
        created = wanted.meta.created or created
        meta = msgspec.structs.replace(wanted.meta, created=created, generation=generation)
        live = Object(kind=wanted.kind, meta=meta, spec=wanted.spec)
        return live, Entry(key=key, created=created, generation=generation, digest=digest, file=file)

    # ── problems and places ──────────────────────────────────────────────────────────────────────────────────────

    def _flush_problems(self) -> dict[str, tuple[SourceProblem, ...]]:
        changed: dict[str, tuple[SourceProblem, ...]] = {}
        is_full = len(self._live) >= self._max_objects
        for file in self._touched_files:
            known = self._files[file]
            problems = self._problems(file, known, is_full=is_full)
            if problems != known.shown:
                known.shown = problems
                changed[file] = problems
            # Contents are held for as long as it takes to find places in them.
            known.marks = None
            if not known.claims and known.trouble is None and not known.wrong:
                del self._files[file]
        self._touched_files = {}
        return changed

    def _problems(self, file: str, known: _File, *, is_full: bool) -> tuple[SourceProblem, ...]:
        wrong = list(known.wrong)
        for key, claim in known.claims.items():
            if len(self._claims[key]) > 1:
                winner = self._winner(key)
                if winner is not None and winner.file != file and not known.is_fading:
                    wrong.append((claim.document, _twice(key, winner, self.place_of(winner, "$.metadata.name"))))
            if is_full and key not in self._live:
                wrong.append((claim.document, self._too_many(key)))
        if known.trouble is not None:
            return (known.trouble,)
        if not wrong:
            return ()
        numbers = {document.number for document, _ in wrong}
        marks = known.marks(numbers) if known.marks is not None else self._marks(file, numbers)
        return tuple(
            SourceProblem(problem=problem, place=marks.place(document.number, document.prefix + steps(problem.path)))
            for document, problem in wrong
        )

    def _too_many(self, key: ObjectKey) -> Problem:
        message = f"There are more than {self._max_objects} objects; this one is passed over."
        return Problem(object=key, path="$", message=message, hint="Remove some, or raise max_objects.")

    def _marks(self, file: str, numbers: Iterable[int]) -> Marks:
        return Marks(file, self._read(file) or b"", numbers)

    def place_of(self, claim: Claim, path: str) -> Place:
        raw = self._read(claim.file) or b""
        if self._marked is None or self._marked[:2] != (claim.file, raw):
            # Whoever asks for one place in a file often asks for more of them.
            self._marked = (claim.file, raw, Marks(claim.file, raw, None))
        return self._marked[2].place(claim.document.number, claim.document.prefix + steps(path))

    def place(self, key: ObjectKey, path: str) -> Place | None:
        """Find where a part of a live object was written; None if nobody wrote it."""
        claim = self._winner(key)
        return self.place_of(claim, path) if claim is not None else None

    def file_of(self, key: ObjectKey) -> str | None:
        """Name the file that a live object is written in, at no cost; None if nobody wrote it."""
        claim = self._winner(key)
        return claim.file if claim is not None else None


def _twice(key: ObjectKey, first: Claim, place: Place | None = None) -> Problem:
    kind, namespace, name = key.split("/", 2)
    called = f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"
    where = f"in {place}" if place is not None else "further up in this file"
    message = f"The {called} is already written {where}, which counts; this one is passed over."
    return Problem(object=key, path="$.metadata.name", message=message, hint="Remove or rename one of the two.")
