"""What of a publication is believed. No Envoy, no network: the flow is in `test_delivery.py`."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.support.control import KEY, STRANGER, Control, bundle_of
from tests.support.edge import listener, settings

from seawall.agent.intake import Accepted, Intake, RefusedError, Trust
from seawall.agent.uplink import OutOfStepError
from seawall.fleet.bundle import SigningKey
from seawall.fleet.wire import Publish
from seawall.kit.errors import ConfigError
from seawall.xds.snapshot import Change, Snapshot

ONE, TWO = Snapshot.of([listener(8080, "one")]), Snapshot.of([listener(8080, "two")])


def whole(snapshot: Snapshot, key: SigningKey = KEY, **order: Any) -> Publish:
    return Control().signed(bundle_of(snapshot), key=key, put=tuple(snapshot.all()), **order)


def intake(folder: Path, **changes: object) -> Intake:
    return Intake("e1", Trust(settings(folder, **changes)))


def take(one: Intake, message: Publish, *kept: Snapshot, fence: int = 0) -> Accepted:
    return one.take(message, {snapshot.version: snapshot for snapshot in kept}.get, fence)


def test_a_kept_bundle_needs_no_resource(tmp_path: Path) -> None:
    flip = Control().signed(bundle_of(ONE), base=ONE.version)

    accepted = take(intake(tmp_path), flip, ONE)

    assert accepted.snapshot == ONE
    assert accepted.change == Change()


def test_a_change_on_what_nobody_holds_asks_for_the_whole(tmp_path: Path) -> None:
    with pytest.raises(OutOfStepError):
        take(intake(tmp_path), Control().signed(bundle_of(ONE), base=TWO.version))


def test_a_change_that_leads_elsewhere_asks_for_the_whole(tmp_path: Path) -> None:
    with pytest.raises(OutOfStepError):
        take(intake(tmp_path), Control().signed(bundle_of(ONE), base=TWO.version), TWO)


def test_what_is_refused_is_still_what_the_next_change_builds_on(tmp_path: Path) -> None:
    one = intake(tmp_path, trusted=(KEY.public,))
    with pytest.raises(RefusedError):
        take(one, whole(ONE, STRANGER))

    change = TWO.difference(ONE)
    accepted = take(one, Control().signed(bundle_of(TWO), base=ONE.version, put=change.put, remove=change.remove))

    assert accepted.snapshot == TWO


def test_an_equal_fence_is_obeyed_again_and_a_smaller_one_not(tmp_path: Path) -> None:
    one = intake(tmp_path)
    assert take(one, whole(ONE, fence=5), fence=5).assignment.fence == 5
    with pytest.raises(RefusedError, match="fence 4") as refused:
        take(one, whole(ONE, fence=4), fence=5)
    assert refused.value.by == "fence"


def test_any_of_the_trusted_keys_will_do_and_the_file_is_read_anew(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"# ours\n\n{KEY.public}  # the first\n")
    one = intake(tmp_path, trust_file=str(file))
    take(one, whole(ONE))
    with pytest.raises(RefusedError):
        take(one, whole(ONE, STRANGER))

    file.write_text(f"{KEY.public}\n{STRANGER.public}\n")
    take(one, whole(ONE, STRANGER))

    file.unlink()
    with pytest.raises(RefusedError, match="cannot be read"):
        take(one, whole(ONE))
    assert not (tmp_path / "state").exists()


def test_only_a_key_whose_signatures_hold_is_trusted_on_first_use(tmp_path: Path) -> None:
    one = intake(tmp_path)
    message = whole(ONE, STRANGER)
    assert message.assignment is not None
    broken = msgspec.structs.replace(message.assignment, signature=bytes(64))
    with pytest.raises(RefusedError):
        take(one, msgspec.structs.replace(message, assignment=broken))

    take(one, whole(ONE))

    assert KEY.public in (tmp_path / "state/trusted.keys").read_text()
    with pytest.raises(RefusedError):
        take(intake(tmp_path), whole(ONE, STRANGER))


def test_the_order_must_come_from_a_trusted_key_as_well(tmp_path: Path) -> None:
    mixed = msgspec.structs.replace(whole(ONE), assignment=whole(ONE, STRANGER).assignment)
    with pytest.raises(RefusedError) as refused:
        take(intake(tmp_path), mixed)
    assert refused.value.by == "signature"


@pytest.mark.parametrize("text", ["", "# nothing\n", "zz\n", "00" * 31])
def test_a_file_without_keys_is_the_operators_to_mend(tmp_path: Path, text: str) -> None:
    (tmp_path / "keys").write_text(text)
    with pytest.raises(ConfigError):
        intake(tmp_path, trust_file=str(tmp_path / "keys"))
