"""Image backbones behind one interface: a photo in, feature maps of several depths out."""
