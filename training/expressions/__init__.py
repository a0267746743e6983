"""Make meshlam_core/data/seen_motion.npz: how the landmark network sees each of the 52 expression keys move; and
meshlam_core/data/close_look.npz: the network that sees a tongue (close_look.py)."""
