"""Training, evaluation and benchmarks of MeshLAM: everything that is not shipped with the add-on."""
