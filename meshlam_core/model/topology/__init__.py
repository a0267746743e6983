"""Topology correction: see correct.py for the step, split.py and repair.py for its parts, carry_head.py for heads."""

from meshlam_core.model.topology.carry_head import corrected_head
from meshlam_core.model.topology.correct import Correction, correct
from meshlam_core.model.topology.records import Repairs
from meshlam_core.model.topology.split import epsilon_for

__all__ = ["Correction", "Repairs", "correct", "corrected_head", "epsilon_for"]
