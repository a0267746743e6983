"""The licence notice of the export."""

from __future__ import annotations

import pytest

from blender_addon.licence import copyright_line, licence_notice


@pytest.mark.parametrize(
    "licence", ["CC BY-NC-SA 4.0", "MPI non-commercial research licence", "Noncommercial", "academic use"]
)
def test_licences_that_forbid_commercial_use_are_announced(licence):
    notice = licence_notice({"head": "FLAME 2020", "head_licence": licence})
    assert "FLAME 2020" in notice
    assert "no commercial use" in notice


def test_free_licences_are_not():
    provenance = {"head": "open head", "head_licence": "CC0-1.0", "weights": None, "weights_licence": None}
    assert licence_notice(provenance) == ""
    assert licence_notice({"head": "FLAME 2023 Open", "head_licence": "CC-BY-4.0"}) == ""
    assert copyright_line(provenance) == "open head: CC0-1.0"
