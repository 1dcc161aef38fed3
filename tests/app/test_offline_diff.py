"""Comparing folders: equal folders are equal, certificates that stand in for real ones included."""

import shutil
from pathlib import Path

from seawall.app.proposals import compare_folders

SHOP = Path(__file__).parent.parent.parent / "examples/shop"


def test_a_folder_and_its_copy_do_not_differ(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(SHOP, copy)

    report = compare_folders(SHOP, copy)

    assert "seawall.dev/self-signed" in "".join(file.read_text(encoding="utf-8") for file in SHOP.glob("*.yaml"))
    assert report.differences == ()


def test_a_stand_in_for_other_hosts_is_another_certificate(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(SHOP, copy)
    for file in copy.glob("*.yaml"):
        text = file.read_text(encoding="utf-8")
        file.write_text(
            text.replace("seawall.dev/self-signed: ", "seawall.dev/self-signed: x.example,"), encoding="utf-8"
        )

    report = compare_folders(SHOP, copy)

    assert {one.subject for one in report.differences} == {"secret"}
