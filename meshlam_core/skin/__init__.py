"""Skin and light: what the skin of a head looks like without the light of its photo, and that light."""
