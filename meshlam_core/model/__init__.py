"""The learned reconstructor: what refines the tracker's head and texture (MeshLAM, arXiv 2604.22865)."""
