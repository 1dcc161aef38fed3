"""Reports of attacks: what they count, that hostile values stay text, and that their number is bounded."""

from pathlib import Path

from seawall.app.attack_reports import MOST, AttackReports
from seawall.detect.columns import Rows
from seawall.detect.events import Commanded, Record
from seawall.detect.guard import Guard
from seawall.detect.scope import scope
from seawall.detect.sight import Slot
from seawall.detect.verdict import Action
from seawall.kit.units import Instant, Seconds

HOSTILE = "<script>alert(1)</script>`\x1b[2J"


def attacked(reports: AttackReports, start: float, route: str = "shop") -> None:
    guard = Guard()
    action, ttl = Action(kind="deny", code=403), Seconds(60.0)
    about = scope(route, {"agent": HOSTILE})
    guard.handle(Commanded(at=Instant(start + 2), verb="add", who="me", scope=about, action=action, ttl=ttl))
    for step in range(10):
        rows = Rows(columns={"route": [route, route], "refused": ["", "v-1"]}, seconds=[0, 0], weights=[10.0, 30.0])
        reports.note(Slot(at=Instant(start + step), rows=rows, totals={route: 40.0}))
    began = Record(at=Instant(start), what="excess-began", subject=route, said="much")
    ended = Record(at=Instant(start + 9), what="excess-ended", subject=route, said="over")
    reports.follow([began], guard)
    reports.follow([ended], guard)


def test_it_says_how_much_was_asked_refused_and_let_through_and_draws_it(tmp_path: Path) -> None:
    reports = AttackReports(tmp_path / "attacks")
    attacked(reports, 1_700_000_000.0)

    (name,) = reports.names()
    text = (tmp_path / "attacks" / f"{name}.md").read_text()
    assert "At most 40 requests a second; 300 refused by the edges, 100 let through." in text
    assert "1 verdicts." in text
    page = (tmp_path / "attacks" / f"{name}.html").read_text()
    assert page.count("<polyline") == 2


def test_what_clients_send_stays_text(tmp_path: Path) -> None:
    reports = AttackReports(tmp_path)
    attacked(reports, 1_700_000_000.0, route="../../etc/<b>")

    (name,) = reports.names()
    page, text = (tmp_path / f"{name}.html").read_text(), (tmp_path / f"{name}.md").read_text()
    assert "<script" not in page and "<b>" not in page
    assert "\x1b" not in text and "</script>`\x1b" not in text
    assert {one.parent for one in tmp_path.rglob("*")} == {tmp_path}


def test_the_oldest_give_way_and_without_a_folder_nothing_is_written(tmp_path: Path) -> None:
    reports = AttackReports(tmp_path)
    for number in range(MOST + 3):
        attacked(reports, 1_700_000_000.0 + 60 * number)
    assert len(reports.names()) == MOST
    assert len(list(tmp_path.iterdir())) == 2 * MOST

    none = AttackReports(None)
    attacked(none, 0.0)
    assert none.names() == []
