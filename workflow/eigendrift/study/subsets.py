"""Training sets of reduced size: their names, and what is known of them without loading one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

WHOLE = "all"


class DatasetFacts(Protocol):
    """What the registry of data sets knows without loading one."""

    @property
    def training_samples(self) -> int: ...  # noqa: D102
    @property
    def image_shape(self) -> tuple[int, int]: ...  # noqa: D102
    @property
    def classes(self) -> int: ...  # noqa: D102


@dataclass(frozen=True)
class SubsetFacts:
    """The same of a data set with fewer training samples."""

    training_samples: int
    image_shape: tuple[int, int]
    classes: int


def subset_name(dataset: str, training_samples: int | str) -> str:
    """Return the name of a data set with so many training samples, such as ``digits-200``.

    Args:
        dataset: Name of the whole data set.
        training_samples: How many, or ``all``, which is the data set itself.
    """
    return dataset if training_samples == WHOLE else f"{dataset}-{training_samples}"


def parts_of(name: str) -> tuple[str, int | str]:
    """Return the data set and the number of training samples that a name from `subset_name` stands for."""
    dataset, _, samples = name.partition("-")
    return dataset, int(samples) if samples else WHOLE


def with_subsets(config: Mapping[str, Any], datasets: Mapping[str, DatasetFacts]) -> dict[str, DatasetFacts]:
    """Return what is known of all data sets, and of the training sets of reduced size that a study asks for.

    Args:
        config: The configuration.
        datasets: What is known of each whole data set.
    """
    found = dict(datasets)
    for experiment in config["experiments"].values():
        for dataset in experiment["datasets"]:
            whole = datasets[dataset]
            for size in experiment.get("training_samples", [WHOLE]):
                if size != WHOLE:
                    facts = SubsetFacts(size, whole.image_shape, whole.classes)
                    found[subset_name(dataset, size)] = facts
    return found
