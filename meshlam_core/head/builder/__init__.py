"""The steps that turn MakeHuman's CC0 files into data/open_head.npz. Needs scipy; the runtime never imports this."""
