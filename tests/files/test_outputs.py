from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from meshlam_core.errors import UsageError
from meshlam_core.files.outputs import atomic_file, atomic_folder, check_output_file, check_output_folder, write_file


def test_a_file_has_its_name_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    with atomic_file(path) as file:
        file.write(b"half")
        assert not path.exists()
        file.write(b" and half")
    assert path.read_bytes() == b"half and half"
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"old")

    def fail_half_way() -> None:
        with atomic_file(path) as file:
            file.write(b"new")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_half_way()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name != "posix", reason="permission bits of unix")
def test_results_have_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    write_file(tmp_path / "ours", b"")
    (tmp_path / "other").write_bytes(b"")
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("ours", "other")]
    assert modes[0] == modes[1]


def test_a_very_long_name_is_no_trouble_of_ours(tmp_path: Path) -> None:
    write_file(tmp_path / ("n" * 240 + ".png"), b"x")


def test_outputs_that_cannot_be_are_refused_without_touching_the_disk(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UsageError, match="is a folder; a file name was expected"):
        check_output_file(tmp_path)
    with pytest.raises(UsageError, match="there is no folder"):
        check_output_file(tmp_path / "no" / "a.png")
    with pytest.raises(UsageError, match="is a file; a folder was expected"):
        check_output_folder(tmp_path / "file")
    with pytest.raises(UsageError, match="there is no folder"):
        check_output_folder(tmp_path / "no" / "no")
    check_output_folder(tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_folder_is_filled_at_once_or_not_at_all(tmp_path: Path) -> None:
    def write_two(fail: bool) -> None:
        with atomic_folder(tmp_path / "frames") as folder:
            (folder / "0.png").write_bytes(b"new")
            if fail:
                raise ZeroDivisionError
            (folder / "1.png").write_bytes(b"new")

    with pytest.raises(ZeroDivisionError):
        write_two(fail=True)
    assert list(tmp_path.iterdir()) == []
    write_two(fail=False)
    (tmp_path / "frames" / "0.png").write_bytes(b"old")
    (tmp_path / "frames" / "notes").write_bytes(b"mine")
    with pytest.raises(ZeroDivisionError):
        write_two(fail=True)
    assert (tmp_path / "frames" / "0.png").read_bytes() == b"old"
    write_two(fail=False)
    assert (tmp_path / "frames" / "0.png").read_bytes() == b"new"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["0.png", "1.png", "frames", "notes"]
