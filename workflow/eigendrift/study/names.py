"""Names as readers write them."""

OPTIMIZERS = {
    "sgd": "SGD",
    "momentum": "SGD + momentum",
    "adam": "Adam",
    "adamw": "AdamW",
    "rmsprop": "RMSprop",
    "sam": "SAM",
    "muon": "Muon",
}


def title_of(optimizer: str) -> str:
    """Return an optimizer's name as readers write it."""
    return OPTIMIZERS.get(optimizer, optimizer)
