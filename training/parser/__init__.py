"""Make meshlam_core/data/parsing_network.npz: hair, skin, and the rest of a person, told from the background."""
