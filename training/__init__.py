"""Training, evaluation and benchmarks of MeshLAM: everything that is not shipped with the add-on."""

import meshlam_core as meshlam_core  # before torch: it says how waiting threads behave
