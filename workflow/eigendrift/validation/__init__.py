"""Whether null models hold before training, and whether training leaves them."""
