"""The kinds of extensions and what each declares.

The workflow reads the declarations before any job starts, also where there is no torch. So declarations are plain
values, and functions import large libraries when they are called.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from importlib import import_module
from inspect import signature
from pathlib import Path
from reprlib import repr as shown
from types import NoneType, UnionType
from typing import Any, ClassVar, get_args, get_origin

import numpy as np

Settings = Mapping[str, Any]
# JSON schema of a setting, which needs a "description"; "$ref" may point to "#/$defs/…" of the configuration's.
Schema = Mapping[str, Any]
Preconditioner = Callable[[Settings, np.ndarray, np.ndarray, int], np.ndarray]

# pandas reads null and nan in a table as a missing value.
NAME = re.compile(r"(?!(null|nan)$)[a-z0-9][a-z0-9_-]*")
# In names of data sets, '-' separates the number of training samples, as in digits-200. Names of figures and metrics
# become names of files and arrays.
PLAIN_NAME = re.compile(r"(?!(null|nan)$)[a-z][a-z0-9_]*")
TYPES: dict[Any, str] = {
    Callable: "a function",
    Mapping: "a dict",
    NoneType: "None",
    bool: "True or False",
    int: "an integer",
    str: "text",
    tuple: "a tuple",
}


@dataclass(frozen=True)
class lazy:  # noqa: N801 - used like a function, as functools.partial is
    """A function of another module that is imported when it is called.

    A module that declares such a function does not depend on the other module, neither at run time nor for the
    workflow, which looks for import statements. What calls the function names or imports its module.
    """

    module: str
    function: str

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:  # noqa: D102
        return getattr(import_module(self.module), self.function)(*arguments, **keywords)


@dataclass(frozen=True, kw_only=True)
class Extension:
    """What all kinds have in common.

    Attributes:
        name: The name in a study: lower-case letters, digits, '-' and '_'. Names of data sets, metrics and figures have
            no '-'. Names that the package uses are taken.

    Raises:
        ValueError: If anything declared is not allowed; the message says what.
    """

    KIND: ClassVar[str] = "extension"
    ALLOWED: ClassVar[re.Pattern[str]] = NAME
    # Settings that every extension of the kind has.
    SHARED_SETTINGS: ClassVar[tuple[str, ...]] = ()
    # The arguments of each function, in order.
    GIVEN: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    name: str

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.ALLOWED.fullmatch(self.name):
            more = ", '-' and '_'" if self.ALLOWED is NAME else " and '_', a letter first"
            raise ValueError(
                f"the {self.KIND} is named {self.name!r}, expected text of lower-case letters, digits{more}, "
                "other than null and nan"
            )
        for one in fields(self):
            types = get_args(one.type) if isinstance(one.type, UnionType) else (one.type,)
            plain = [get_origin(each) or each for each in types]
            if set(plain) <= set(TYPES):
                value = getattr(self, one.name)
                fits = isinstance(value, tuple(plain)) and (bool in plain or not isinstance(value, bool))
                self._expect(one.name, fits, " or ".join(TYPES[each] for each in plain))
        for function, given in self.GIVEN.items():
            self._check_takes(function, given)

    def _expect(self, attribute: str, fits: bool, expected: str) -> None:
        if not fits:
            found = shown(getattr(self, attribute))
            raise ValueError(f"the {self.KIND} '{self.name}' has {attribute}={found}, expected {expected}")

    def _check_takes(self, attribute: str, given: Sequence[str], named: Iterable[str] = ()) -> None:
        """Check that a function takes its positional arguments, and keyword arguments by their names."""
        function = getattr(self, attribute)
        if function is None:
            return
        try:
            declared = signature(function)
        except ValueError:  # some functions in C have no signature
            return
        try:
            declared.bind(*given, **dict.fromkeys(named))
        except TypeError:
            raise ValueError(
                f"the {self.KIND} '{self.name}' has a function {attribute}{declared}, expected one that "
                f"takes ({', '.join([*given, *named])})"
            ) from None

    def _check_settings(self, settings: Mapping[str, Schema]) -> None:
        for setting, schema in settings.items():
            if not isinstance(setting, str) or setting in self.SHARED_SETTINGS:
                raise ValueError(
                    f"the {self.KIND} '{self.name}' declares the setting {setting!r}, expected text, and "
                    f"none of {', '.join(self.SHARED_SETTINGS)}, which every {self.KIND} has"
                )
            if not isinstance(schema, Mapping) or not {"description", "$ref"} & set(schema):
                raise ValueError(
                    f"the {self.KIND} '{self.name}' declares the setting '{setting}' as {shown(schema)}, "
                    "expected a JSON schema, a dict with a description"
                )


@dataclass(frozen=True, kw_only=True)
class Optimizer(Extension):
    """An optimizer.

    Attributes:
        build: Makes a ``torch.optim.Optimizer`` from parameters and the settings of the configuration, which always
            have ``learning_rate``. All state must be in its ``state_dict``, or a killed run does not resume with
            identical results.
        settings: Schema of every setting except the learning rate.
        description: A sentence that describes it.
        takes_closure: Whether ``step`` needs a function that evaluates loss and gradients again. The gradients of the
            step's own batch are there already, and ``step`` must leave them there.
        second_moment: Key of the per-parameter state, ``optimizer.state[parameter]``, with a second-moment estimate of
            the parameter's shape; only for adaptive optimizers.
        preconditioner: Returns the diagonal P of the step that starts at a checkpoint, in the sense
            Δθ = −η P⁻¹ m with m a running mean of gradients, from settings, second moment before the step, gradient
            (both float64 (N,)) and steps taken before. An optimizer without this function is not
            adaptive: its runs have no preconditioned Hessian, and figure ext05 shows only the plain one.
        threshold: Returns the largest λ1 at which full-batch steps on a quadratic loss stay stable, from the settings.
            For an adaptive optimizer, λ1 belongs to the preconditioned Hessian. None if the threshold is not known.
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
        self._check_settings(self.settings)
        if (self.second_moment is None) != (self.preconditioner is None):
            raise ValueError(
                f"the optimizer '{self.name}' has only one of second_moment and preconditioner, expected "
                "both for an adaptive optimizer and none for another"
            )


@dataclass(frozen=True, kw_only=True)
class Model(Extension):
    """A kind of network, which ``models.<name>.kind`` of the configuration names.

    Attributes:
        build: Makes a ``torch.nn.Module`` that maps float32 (n, rows, columns) to scores (n, classes), from settings,
            image shape, number of classes, and a CPU generator for the weights. torch's own generator is seeded from
            this generator meanwhile, so modules may also initialize themselves. Parameters and scores are float32, and
            buffers never change.
        settings: Schema of every setting.
        parameters: Counts N, from settings, image shape and number of classes. Without this function, fewer mistakes in
            a study are found before it starts.
        title: Names the network in captions, from the same arguments; by default by the name of its kind.
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

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_settings(self.settings)


@dataclass(frozen=True, kw_only=True)
class Dataset(Extension):
    """A data set.

    Attributes:
        load: Returns `eigendrift.data.samples.Samples`, given the directory of the user's own copies of data sets, or
            None.
        training_samples: Size of the training part.
        image_shape: Rows and columns of an image.
        classes: Number of classes.
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
        draw: Returns a record of a null store for each of some draws, from an `eigendrift.null.inputs.NullInputs` and
            the numbers of the draws.
        draws: Describes its draws, with one place, {}, for their number.
        keeps: The properties of a trained network that the draws share.
        destroys: The properties of a trained network that the draws lack.
        of_training: Whether draws belong to an optimizer of the main experiment.
        needs_ends: Whether draws are made from the final weights of the main experiment's runs, ``NullInputs.end_of``;
            only if draws belong to an optimizer.
    """

    KIND: ClassVar[str] = "null model"
    GIVEN: ClassVar = {"draw": ("inputs", "draws")}

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
        self._expect("needs_ends", self.of_training or not self.needs_ends, "False, or of_training=True as well")
        self._expect("draws", fits, "text with one place, {}, and no other braces")

    def sentence(self, draws: int) -> str:
        """Return a sentence that describes the null model, given the number of draws."""
        return f"{self.draws.format(draws)}; keeps {self.keeps}, destroys {self.destroys}"


@dataclass(frozen=True, kw_only=True)
class Metric(Extension):
    """A metric of the main experiment's runs: a number for each checkpoint and eigenvector.

    Attributes:
        measure: Returns float64 (checkpoint, rank) from a run's trajectory and eigenpairs store, which has the same
            checkpoints, see results/README.md; NaN where there is no value.
        meaning: A sentence that describes it.
        unit: 1 for pure numbers.
    """

    KIND: ClassVar[str] = "metric"
    GIVEN: ClassVar = {"measure": ("trajectory", "eigenpairs")}
    ALLOWED: ClassVar = PLAIN_NAME

    measure: Callable[[Any, Any], np.ndarray]
    meaning: str
    unit: str = "1"


# A figure reads files under these names, which are keyword arguments of its function ``read``.
MEASURED = {"metrics": "metrics", "baselines": "null model"}
COLLECT = lazy("eigendrift.metrics.collection", "collect")
_READS = "text by argument of read, none of them manifests or plugin_metrics, which the workflow adds"
_COLLECTED = "metrics, baselines and perhaps further, which the default function read takes"


@dataclass(frozen=True, kw_only=True)
class Figure(Extension):
    """A figure.

    Attributes:
        draw: Returns `eigendrift.figures.parts.Plotted` from what ``read`` returns, by default an
            `eigendrift.metrics.collection.Collection`, and from keyword arguments, its ``settings``.
        caption: What it shows, in reStructuredText. ``{{ runs }}``, ``{{ training }}``, ``{{ null }}``,
            ``{{ ranks }}``, ``{{ full_batch }}``, ``{{ settings.… }}`` and ``{{ config.… }}`` are filled in, see
            `eigendrift.study.captions.facts_of`.
        title: What it shows, in a line.
        category: Where it is in the report.
        runs: The runs that it shows: ``main``, ``first data set`` or ``second data set`` of these, ``examples`` (seed 0
            on the first data set), ``batch_sizes``, ``learning_rates``, ``training_sizes`` (each on its first data
            set), or ``all``. A study without such runs does not have the figure.
        reads: What it reads, by keyword arguments of ``read``: for each of its runs ``metrics``,
            ``wide metrics``, ``eigenpairs``, ``minima`` or, if the optimizer is adaptive,
            ``preconditioned metrics``; baselines for these runs, ``null model`` (which the study shows), ``further null
            models``, ``other null models`` (all others) or ``wide null model``; or a table, ``claims.json``,
            ``regimes.csv``, ``null_values.csv`` or ``null_validation.csv``.
        read: Reads it, given lists of paths, or the path of a table. The default takes ``metrics``, ``baselines`` and
            ``further``, baselines of other null models.
        settings: Values of keyword arguments of ``draw``: each a key of the configuration, such as
            ``figures.waiting_times``, or a function of the configuration.
        when: Returns whether a study has the figure, from the configuration. A study without the runs or the table that
            the figure reads does not have it either.
        asks_optimizers: Whether ``read`` or ``draw`` uses what optimizers declare, such as their thresholds.
        metrics: Names of metrics of plug-ins; the collection has their values under these names.
    """

    KIND: ClassVar[str] = "figure"
    ALLOWED: ClassVar = PLAIN_NAME

    draw: Callable[..., Any]
    caption: str
    title: str = ""
    category: str = "Plug-ins"
    runs: str = "main"
    reads: Mapping[str, str] = field(default_factory=lambda: MEASURED)
    read: Callable[..., Any] = COLLECT
    settings: Mapping[str, str | Callable[[Mapping[str, Any]], Any]] = field(default_factory=dict)
    when: Callable[[Mapping[str, Any]], bool] = lambda _config: True
    asks_optimizers: bool = False
    metrics: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_takes("draw", ("collection",), self.settings)
        sources = [type(key) is str and type(source) is str for key, source in self.reads.items()]
        self._expect("reads", all(sources) and not {"manifests", "plugin_metrics"} & set(self.reads), _READS)
        if self.read == COLLECT:
            self._expect("reads", {*MEASURED} <= {*self.reads} <= {*MEASURED, "further"}, _COLLECTED)
        places = [type(place) is str or callable(place) for place in self.settings.values()]
        self._expect("settings", all(places), "keys of the configuration, or functions of it")
        self._expect("caption", self.caption.strip() != "", "a sentence")
        self._expect("metrics", all(isinstance(name, str) for name in self.metrics), "names")


KINDS = (Optimizer, Model, Dataset, NullModel, Metric, Figure)
