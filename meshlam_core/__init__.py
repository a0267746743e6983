"""MeshLAM core: one portrait in, one animatable textured head avatar out. Knows nothing of Blender."""

__version__ = "0.1.0"
