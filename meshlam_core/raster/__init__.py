"""Triangles to pixels and back: rasterise, interpolate, sample, unwrap, shade. Names live in their modules."""
