"""MeshLAM: one portrait becomes a textured, rigged head. This file only registers; see panel.py and operators.py.

bpy is imported inside the functions, so that the parts that know no Blender (avatar_reader, axes, job, worker_client,
backend/) can be used and tested without it.
"""

from __future__ import annotations


def register() -> None:
    from . import registration

    registration.register()


def unregister() -> None:
    from . import registration

    registration.unregister()
