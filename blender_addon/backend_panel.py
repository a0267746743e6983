"""How the panel and the preferences show the backend: what is missing, the button, the bar, the error."""

from __future__ import annotations

import math
from typing import Any

from . import backend_state, state
from .avatar_operators import draw_text
from .backend.meter import in_words
from .backend.preflight import Preflight, seconds_needed
from .backend.setup import SetupState
from .backend_state import Status
from .preferences import settings, stored

_KERNEL_SECONDS = 20.0
_WORDS = {
    Status.MISSING: ("MeshLAM needs its backend, which makes the heads.", "meshlam.install_backend", "Install Backend"),
    Status.MOVED: ("The Blender that the backend was installed with is gone.", "meshlam.repair_backend", "Repair"),
    Status.OUTDATED: (
        "The backend is from another version of the add-on.",
        "meshlam.install_backend",
        "Update Backend",
    ),
}


def draw_backend(layout: Any, context: Any) -> bool:
    """What there is to say about the backend; True when it takes the place of the button that makes heads."""
    setup = backend_state.setup
    if setup.active:
        _draw_bar(layout)
        return True
    if setup.state is SetupState.FAILED:
        _draw_failure(layout, context)
    elif setup.message:
        _draw_message(layout, context)
    found = backend_state.status()
    if found is Status.READY:
        return False
    _draw_offer(layout, context, found)
    return True


def draw_care(layout: Any, context: Any) -> None:
    """In the preferences: the state, and every button."""
    setup = backend_state.setup
    box = layout.box()
    if setup.active:
        _draw_bar(box)
        return
    if setup.message:
        draw_text(box, context, setup.message, "ERROR" if setup.state is SetupState.FAILED else "INFO")
    found = backend_state.status()
    if found is not Status.READY:
        _draw_offer(box, context, found)
    row = box.row()
    row.operator("meshlam.check_backend", icon="CHECKMARK")
    row.operator("meshlam.repair_backend", icon="TOOL_SETTINGS")
    row.operator("meshlam.remove_backend", icon="TRASH")


def first_start(stage: str, seconds: float) -> tuple[float, str]:
    """A bar that moves, and words, for what tells nothing of itself: the backend's start and its kernels."""
    factor = 1.0 - math.exp(-seconds / _KERNEL_SECONDS)
    if seconds > 5.0:
        return factor, "Preparing the kernels, once, about 20 s"
    return factor, "Starting" if stage == "starting" else "Loading the models"


def _draw_bar(layout: Any) -> None:
    setup = backend_state.setup
    row = layout.row(align=True)
    row.scale_y = 1.8
    row.progress(factor=setup.report.fraction, text="Stopping" if setup.stopping else setup.report.text)
    row.operator("meshlam.cancel_setup", text="", icon="CANCEL")


def _draw_failure(layout: Any, context: Any) -> None:
    box = layout.box()
    draw_text(box, context, backend_state.setup.message, "ERROR")
    row = box.row(align=True)
    row.operator("meshlam.copy_setup_report", icon="COPYDOWN")
    row.operator("meshlam.dismiss_setup", text="", icon="X")
    if "click Repair" in backend_state.setup.message:
        box.operator("meshlam.repair_backend", icon="TOOL_SETTINGS")


def _draw_message(layout: Any, context: Any) -> None:
    box = layout.box()
    draw_text(box, context, backend_state.setup.message, "INFO")
    box.operator("meshlam.dismiss_setup", text="OK")


def _draw_offer(layout: Any, context: Any, found: Status) -> None:
    sentence, operator, label = _WORDS[found]
    box = layout.box()
    draw_text(box, context, sentence, "INFO")
    looked = backend_state.before_install()
    if looked is None:
        box.label(text="Looking at this computer...")
        state.redraw_soon()
    else:
        _draw_preflight(box, context, looked)
    row = layout.row()
    row.scale_y = 1.8
    row.enabled = looked is not None and looked.ready
    row.operator(operator, text=label, icon="IMPORT")
    if found is Status.MISSING:
        layout.operator("meshlam.choose_bundle", icon="PACKAGE")


def _draw_preflight(layout: Any, context: Any, looked: Preflight) -> None:
    chosen = settings()
    requirements = looked.requirements
    if requirements is not None:
        bundle = chosen.bundle_path()
        how = f"From {bundle.name}" if bundle is not None else f"{requirements.size / 1e6:,.0f} MB to download"
        time = in_words(seconds_needed(requirements, bundle is not None))
        draw_text(layout, context, f"{how}, about {time}{'' if bundle else ' at 50 Mbit/s'}, into {chosen.data_path()}")
    for finding in looked.findings:
        draw_text(layout, context, finding.sentence, "ERROR" if finding.stops else "INFO")
    if backend_state.may_not_go_online(looked.findings):
        layout.operator("extensions.userpref_allow_online", text="Allow Online Access")
    machine, preferences = backend_state.machine(), stored()
    if machine is not None and len(machine.devices) > 1 and machine.gpu is not None and preferences is not None:
        draw_text(layout, context, f"{machine.gpu.name} can be used, too.", "INFO")
        layout.prop(preferences, "backend_device", text="For")
