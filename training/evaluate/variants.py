"""The heads that are set side by side: what the tracker knows, what the hair's hull adds, what the network adds."""

from __future__ import annotations

from dataclasses import replace

from meshlam_core.model.files import NONE, choose_weights
from meshlam_core.pipeline import ReconstructOptions


def variants(wanted: ReconstructOptions | None = None) -> dict[str, ReconstructOptions]:
    """Tracker alone, hull fit and, where there are weights, the network; glasses stay on, as the photos show them."""
    wanted = replace(wanted or ReconstructOptions(), keep="glasses")
    found = {"tracker": replace(wanted, weights=NONE, hair="bald"), "hull": replace(wanted, weights=NONE)}
    if choose_weights(wanted.preset, wanted.weights) is not None:
        found["network"] = wanted
    return found
