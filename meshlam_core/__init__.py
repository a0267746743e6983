"""MeshLAM core: one portrait in, one animatable textured head avatar out. Knows nothing of Blender."""

import os

__version__ = "0.1.0"

# Read when torch loads. Threads that spin while they wait take the cores from Blender, and slow us where cores are few.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Read when numpy loads. Its matrices are small here: a second thread gains nothing, and stalls while a core is busy.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
