"""The ablation's table: rows that were finished are read, not trained again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from training.ablate import ROWS, SHOWN, main


def test_finished_rows_make_the_table_with_the_spread_of_the_seeds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, row in enumerate(ROWS):
        for seed in (0, 1):
            folder = tmp_path / f"{row.replace(' ', '_').strip('()')}-{seed}"
            folder.mkdir()
            errors = dict.fromkeys(SHOWN, 5.0 + number + 0.5 * seed) | {"samples": 100.0 + 20 * seed}
            (folder / "errors.json").write_text(json.dumps(errors))
    nowhere = str(tmp_path / "missing")  # nothing is read from there: nothing is trained
    named = ["--steps", "1", "--out", str(tmp_path)]
    main([*named, "--backbone", nowhere, "--data", nowhere, "--held-out", nowhere])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + len(ROWS)
    assert lines[2].startswith("| full | 110 | 5.25 ± 0.25 |")
    assert lines[-1].endswith(f"| {5.25 + len(ROWS) - 1:.2f} ± 0.25 |")
