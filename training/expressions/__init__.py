"""Make meshlam_core/data/seen_motion.npz: how the landmark network sees each of the 52 expression keys move."""
