"""Training data on disk: shards in WebDataset's layout (plain tar files; a sample's files share their stem).

shards.py    writing them whole or not at all, reading them past what is broken
record.py    what a sample of stage G consists of
make.py      drawing synthetic samples into shards: `python -m training make`
pool.py      samples in memory, drawn at random, while more are being made
"""
