"""The tree: which manifests there are, links and loops, and what cannot be read."""

import os
import re
from pathlib import Path

import pytest

from seawall.kit.errors import ConfigError
from seawall.source.tree import Listing, is_manifest, list_tree, read_file


def listed(root: Path, start: Path | None = None) -> Listing:
    return list_tree(str(root), str(start or root), lambda _: None)


def names(root: Path, listing: Listing) -> list[str]:
    return sorted(str(Path(file).relative_to(root)) for file in listing.files)


def test_manifests_are_found_at_any_depth_and_others_are_not(tmp_path: Path) -> None:
    for name in (
        "a.yaml",
        "b/c/d.yml",
        "b/e.json",
        "b/f.txt",
        ".hidden.yaml",
        ".git/g.yaml",
        "h.yaml~",
        ".#i.yaml",
        "j.yaml.swp",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")

    assert names(tmp_path, listed(tmp_path)) == ["a.yaml", "b/c/d.yml", "b/e.json"]


def test_links_are_followed_and_loops_are_not(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/x.yaml").write_text("")
    (tmp_path / "a/b/up").symlink_to(tmp_path / "a")
    (tmp_path / "again").symlink_to("a/b")
    (tmp_path / "y.yaml").symlink_to("a/b/x.yaml")

    listing = listed(tmp_path)

    assert names(tmp_path, listing) == ["a/b/x.yaml", "again/x.yaml", "y.yaml"]
    assert {str(Path(path).relative_to(tmp_path)) for path in listing.troubles} == {"a/b/up", "again/up/b"}
    assert all("leads back" in error.message for error in listing.troubles.values())


def test_a_loop_above_the_start_is_seen(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/up").symlink_to(tmp_path)

    assert list(listed(tmp_path, tmp_path / "a").troubles) == [f"{tmp_path}/a/up"]


def test_mounted_config_maps_are_read_once(tmp_path: Path) -> None:
    (tmp_path / "..2026").mkdir()
    (tmp_path / "..2026/a.yaml").write_text("")
    (tmp_path / "..data").symlink_to("..2026")
    (tmp_path / "a.yaml").symlink_to("..data/a.yaml")

    assert names(tmp_path, listed(tmp_path)) == ["a.yaml"]


def test_what_is_not_there_is_gone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    assert listed(tmp_path / "nothing").is_gone
    assert listed(tmp_path / "file/below").is_gone


def test_one_file_is_a_tree(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text("")

    assert list(listed(tmp_path / "a.conf").files) == [f"{tmp_path}/a.conf"]


def test_files_are_read_whole(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 3_000_000)

    found = read_file(f"{tmp_path}/a", 3_000_000)

    assert found is not None
    assert len(found[0]) == 3_000_000
    assert read_file(f"{tmp_path}/b", 1) is None


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("big.yaml", "larger than 10 bytes"),
        ("folder.yaml", "not a regular file"),
        ("pipe.yaml", "not a regular file"),
        ("nowhere.yaml", "leads to nothing"),
        ("itself.yaml", "cannot be read: too many levels of symbolic links"),
    ],
)
def test_what_cannot_be_read_says_why(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "big.yaml").write_bytes(b"x" * 11)
    (tmp_path / "folder.yaml").mkdir()
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "nowhere.yaml").symlink_to("nothing")
    (tmp_path / "itself.yaml").symlink_to("itself.yaml")

    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        read_file(f"{tmp_path}/{name}", 10)

    assert caught.value.place is not None
    assert caught.value.hint


def test_broken_links_are_listed_so_that_reading_tells(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").symlink_to("nothing")
    (tmp_path / "b.yaml").symlink_to("b.yaml")
    (tmp_path / "c").symlink_to("nothing")

    assert names(tmp_path, listed(tmp_path)) == ["a.yaml", "b.yaml"]


def test_editors_files_are_no_manifests() -> None:
    assert [
        name for name in ("a.yaml", ".a.yaml.swp", "a.yaml~", "#a.yaml#", ".#a.yaml", "4913") if is_manifest(name)
    ] == ["a.yaml"]
