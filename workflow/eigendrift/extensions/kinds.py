"""The kinds of extensions, and what each has to declare.

The workflow reads the declarations before any job starts, also where there is no torch. So declarations are
plain values, and what needs a large library imports it inside the function that uses it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from eigendrift.extensions.base import PLAIN_NAME, Extension

Settings = Mapping[str, Any]
# JSON schema of a setting, which needs a "description"; "$ref" may point to "#/$defs/…" of the
# configuration's.
Schema = Mapping[str, Any]
Preconditioner = Callable[[Settings, np.ndarray, np.ndarray, int], np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Optimizer(Extension):
    """An optimizer.

    Attributes:
        build: Makes a ``torch.optim.Optimizer`` of parameters and the settings of the configuration, among
            which is always ``learning_rate``. Its state must lie in its ``state_dict``, or a killed run
            resumes with other bits.
        settings: Schema of every setting beside the learning rate.
        description: What it is, in a sentence.
        takes_closure: Whether its ``step`` must be given a function that evaluates loss and gradients anew.
            The gradients of the step's own batch are there already. ``step`` has to leave them there.
        second_moment: Key of its per-parameter state, ``optimizer.state[parameter]``, that holds a
            second-moment estimate of the parameter's shape; only if it is adaptive.
        preconditioner: Of an adaptive optimizer the diagonal P of the step that starts at a checkpoint, in
            the sense Δθ = −η P⁻¹ m with m a running mean of gradients: from settings, second moment before
            the step, gradient (both float64 (N,)) and steps taken before. One without it is not adaptive:
            its runs have no preconditioned Hessian, and figure ext05 shows the plain one alone.
        threshold: The largest λ1 at which full-batch steps on a quadratic loss stay stable, from the
            settings; of the preconditioned Hessian if it is adaptive. None if there is none to tell.
    """

    KIND: ClassVar[str] = "optimizer"
    GIVEN: ClassVar = {
        "build": ("parameters", "settings"),
        "preconditioner": ("settings", "second_moment", "gradient", "steps"),
        "threshold": ("settings",),
    }
    SHARED_SETTINGS: ClassVar[tuple[str, ...]] = ("learning_rate", "name")

    build: Callable[[Iterable[Any], Settings], Any]
    settings: Mapping[str, Schema] = field(default_factory=dict)
    description: str = "An optimizer of a plug-in."
    takes_closure: bool = False
    second_moment: str | None = None
    preconditioner: Preconditioner | None = None
    threshold: Callable[[Settings], float] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.second_moment is None) != (self.preconditioner is None):
            raise ValueError(
                f"the optimizer '{self.name}' has only one of second_moment and preconditioner, expected "
                "both of an adaptive optimizer and none of another"
            )


@dataclass(frozen=True, kw_only=True)
class Model(Extension):
    """A kind of network, which ``models.<name>.kind`` of the configuration names.

    Attributes:
        build: Makes a ``torch.nn.Module`` that maps float32 (n, rows, columns) to scores (n, classes), from
            settings, image shape, number of classes, and a CPU generator that weights are drawn from. torch's
            own generator is seeded from that one meanwhile, so that modules may as well initialize
            themselves. Parameters and scores are float32, and buffers are the same at any time.
        settings: Schema of every setting.
        parameters: Counts N, from settings, image shape and number of classes; without it the study is
            checked less well before it starts.
        title: Says what network it is, in captions, from the same; without it that is the name of the kind.
    """

    KIND: ClassVar[str] = "model"
    GIVEN: ClassVar = {
        "build": ("settings", "image_shape", "classes", "generator"),
        "parameters": ("settings", "image_shape", "classes"),
        "title": ("settings", "image_shape", "classes"),
    }
    SHARED_SETTINGS: ClassVar[tuple[str, ...]] = ("kind", "name")

    build: Callable[[Settings, tuple[int, int], int, Any], Any]
    settings: Mapping[str, Schema] = field(default_factory=dict)
    parameters: Callable[[Settings, tuple[int, int], int], int] | None = None
    title: Callable[[Settings, tuple[int, int], int], str] | None = None


@dataclass(frozen=True, kw_only=True)
class Dataset(Extension):
    """A data set.

    Attributes:
        load: Returns `eigendrift.data.samples.Samples`; takes the directory of the user's own copies of data
            sets, or None.
        training_samples: Size of the training part.
        image_shape: Rows and columns of an image.
        classes: How many.
    """

    KIND: ClassVar[str] = "data set"
    GIVEN: ClassVar = {"load": ("data_dir",)}
    ALLOWED: ClassVar = PLAIN_NAME

    load: Callable[[Path | None], Any]
    training_samples: int
    image_shape: tuple[int, int] = (28, 28)
    classes: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        for attribute in ("training_samples", "classes"):
            self._expect(attribute, getattr(self, attribute) > 0, "a number above 0")
        sizes = [type(size) is int and size > 0 for size in self.image_shape]
        self._expect("image_shape", sizes == [True, True], "rows and columns, (28, 28)")


@dataclass(frozen=True, kw_only=True)
class NullModel(Extension):
    """A null model.

    Attributes:
        draw: Returns a record of a null store for each of some draws, from an
            `eigendrift.null.inputs.NullInputs` and the numbers of the draws.
        draws: What its draws are, with one place, {}, for their number.
        keeps: What of a trained network they share.
        destroys: What they know nothing of.
        of_training: Whether draws belong to an optimizer of the main experiment.
        needs_ends: Whether it is made from the final weights of the main experiment's runs,
            ``NullInputs.end_of``; only if draws belong to an optimizer.
    """

    KIND: ClassVar[str] = "null model"
    GIVEN: ClassVar = {"draw": ("origin", "draws")}

    draw: Callable[[Any, Sequence[int]], list[dict[str, np.ndarray]]]
    draws: str
    keeps: str
    destroys: str
    of_training: bool = False
    needs_ends: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        try:
            fits = self.draws.format(1) != self.draws and self.draws.count("{") == 1
        except (AttributeError, LookupError, ValueError):
            fits = False
        self._expect(
            "needs_ends", self.of_training or not self.needs_ends, "False, or of_training=True as well"
        )
        self._expect("draws", fits, "text with one place, {}, and no other braces")

    def sentence(self, draws: int) -> str:
        """Say all of it, given the number of draws."""
        return f"{self.draws.format(draws)}; keeps {self.keeps}, destroys {self.destroys}"


@dataclass(frozen=True, kw_only=True)
class Metric(Extension):
    """A metric of the main experiment's runs: a number for each checkpoint and eigenvector.

    Attributes:
        measure: Returns float64 (checkpoint, rank) from a run's trajectory and eigenpairs store, which has
            the same checkpoints, see results/README.md; NaN where there is nothing to say.
        meaning: What it is, in a sentence.
        unit: 1 for pure numbers.
    """

    KIND: ClassVar[str] = "metric"
    GIVEN: ClassVar = {"measure": ("trajectory", "eigenpairs")}
    ALLOWED: ClassVar = PLAIN_NAME

    measure: Callable[[Any, Any], np.ndarray]
    meaning: str
    unit: str = "1"


@dataclass(frozen=True, kw_only=True)
class Figure(Extension):
    """A figure of the main experiment's runs.

    Attributes:
        draw: Returns `eigendrift.figures.parts.Plotted` from an `eigendrift.metrics.collection.Collection`.
        caption: What it shows, in a sentence or more of reStructuredText.
        metrics: Names of metrics of plug-ins that it shows; the collection has them under these names.
    """

    KIND: ClassVar[str] = "figure"
    GIVEN: ClassVar = {"draw": ("collection",)}
    ALLOWED: ClassVar = PLAIN_NAME

    draw: Callable[[Any], Any]
    caption: str
    metrics: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        self._expect("caption", self.caption.strip() != "", "a sentence")
        self._expect("metrics", all(isinstance(name, str) for name in self.metrics), "names")


KINDS = (Optimizer, Model, Dataset, NullModel, Metric, Figure)
