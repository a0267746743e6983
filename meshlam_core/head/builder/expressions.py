"""The 52 ARKit blendshapes from MakeHuman's face units.

Frame: MakeHuman's, decimetres. Dims: V head vertices, K = 52.
"""

from __future__ import annotations

import numpy as np

from meshlam_core.head.builder.assemble import Assembly
from meshlam_core.head.builder.source import F64, Source


def expression_shapes(
    source: Source,
    assembly: Assembly,
    names: tuple[str, ...],
) -> F64:  # [K, V, 3] dm
    """One displacement per Apple name."""
    count = len(assembly.source_template)
    return np.stack(
        [assembly.carry(source.face_unit(name, count), gaze=name.startswith("eyeLook")) for name in names]
    )
