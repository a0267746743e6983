"""Stage G: the head's shape, without texture and without a renderer (METHOD.md 6).

subset.py   some vertices at random: single ones, and patches for edges and normals
batch.py    records as a batch on these vertices, with masks that are wrong as real ones are
stage.py    the losses, and the loop on a subset
curve.py    the error on samples that were held out
"""
