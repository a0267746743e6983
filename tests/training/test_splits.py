from __future__ import annotations

from pathlib import Path

from training.splits import held_out


def test_exactly_80_of_the_800_portraits_are_held_out(shared_data: Path) -> None:
    assert sum(held_out(path.name) for path in (shared_data / "portraits").glob("*.jpg")) == 80


def test_folder_and_suffix_do_not_matter() -> None:
    names = [f"A{number:06d}" for number in range(40)]
    chosen = [name for name in names if held_out(name)]
    assert 0 < len(chosen) < 20
    assert chosen == [name for name in names if held_out(f"some/where/{name}.jpg")]
