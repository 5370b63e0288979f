"""The data sets by name; to add one, write its loader and add a line, or a plug-in."""

from functools import partial
from pathlib import Path

from eigendrift.data import full_mnist, shipped
from eigendrift.data.samples import Samples
from eigendrift.errors import UserError
from eigendrift.extensions.kinds import Dataset
from eigendrift.extensions.registry import known, source_of

# A loader imports the packages it needs when called, so that the names are at hand wherever the
# configuration is checked.
DATASETS = known(
    Dataset,
    Dataset(name="mnist5k", load=shipped.mnist5k, training_samples=4_000),
    Dataset(name="digits", load=shipped.digits, training_samples=1_437, image_shape=(8, 8)),
    Dataset(name="mnist", load=partial(full_mnist.load, "mnist"), training_samples=60_000),
    Dataset(name="fashion_mnist", load=partial(full_mnist.load, "fashion_mnist"), training_samples=60_000),
)


def load(name: str, data_dir: Path | None = None) -> Samples:
    """Load a data set.

    Args:
        name: one of `DATASETS`.
        data_dir: holds the user's own copies of the data sets that no package ships; the environment
            variable EIGENDRIFT_DATA takes precedence.

    Returns:
        The samples, always the same ones in the same order.

    Raises:
        UserError: there is no such data set, it cannot be had, or it is not what it is declared to be.
    """
    if name not in DATASETS:
        raise UserError(f"The data set {name!r} is unknown, so choose one of {', '.join(DATASETS)}.")
    declared = DATASETS[name]
    plugin = source_of(Dataset, name)
    try:
        samples = declared.load(data_dir)
    except UserError as error:
        # Of those that are shipped it names the file.
        raise (UserError(f"Data set {name!r} of plug-in {plugin}: {error}") if plugin else error) from None
    if not isinstance(samples, Samples):
        raise UserError(
            f"The data set {name!r} was loaded as {type(samples).__name__}, so let its loader return "
            "eigendrift.data.samples.Samples."
        )
    for attribute, found in (
        ("training_samples", len(samples.train_labels)),
        ("image_shape", samples.train_images.shape[1:]),
        ("classes", samples.classes),
    ):
        if found != (expected := getattr(declared, attribute)):
            raise UserError(
                f"The data set {name!r} has {attribute} {found} where its declaration says {expected}, so "
                "mend one of them."
            )
    return samples
