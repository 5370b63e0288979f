"""Refuse a wrong configuration with one sentence, before any job starts."""

import math
from collections.abc import Mapping
from typing import Any

from eigendrift.errors import UserError
from eigendrift.extensions.kinds import Dataset
from eigendrift.null.models import NULL_MODELS
from eigendrift.study.captions import parameters_on
from eigendrift.study.runs import COMPARED, TRAINING_SIZES, WHOLE, all_runs, runs_of, steps_key, steps_of, with_subsets
from eigendrift.study.schema import check_schema, completed, listing, shown


def without_unset(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration without the experiments that are null in it.

    Args:
        config: The configuration, all files merged, before it is checked.

    Raises:
        UserError: If the main experiment is null.
    """
    experiments = config.get("experiments")
    if not isinstance(experiments, Mapping):
        return dict(config)
    if experiments.get("main", {}) is None:
        raise UserError(
            "Config key 'experiments.main' is null, which leaves an experiment out, but every study needs "
            "this one; remove the line."
        )
    return {**config, "experiments": {name: chosen for name, chosen in experiments.items() if chosen is not None}}


def ordered(value: Any) -> Any:
    """Return a configuration with its keys in alphabetical order at every level; lists keep theirs.

    Keys that are not text are sorted as if they were, because the check that refuses them comes later.
    Settings become parameters of jobs and parts of manifests, where another order would look like a change.
    """
    if isinstance(value, dict):
        return {key: ordered(value[key]) for key in sorted(value, key=str)}
    if isinstance(value, list):
        return [ordered(item) for item in value]
    return value


def check_config(config: Mapping[str, Any], schema: Mapping[str, Any]) -> None:
    """Check a study's configuration against the schema and against itself.

    Args:
        config: The configuration, all files merged.
        schema: The JSON schema, without extensions.

    Raises:
        UserError: If a key is wrong; names the key, its value and what is allowed.
    """
    check_schema(config, completed(schema, config))
    _check_references(config)
    _check_null_models(config)
    _check_sweeps(config)
    _check_training_sizes(config)
    _check_lengths(config)
    solver = config["eigenpairs"]
    key = max("count", "wide_count", key=lambda name: solver[name])
    for limit, least, formula in (
        ("basis_size", 2 * solver[key] + 4, f"2 × {key} + 4"),
        ("max_products", 2 * solver[key] + 1, f"2 × {key} + 1"),
    ):
        if solver[limit] < least:
            raise UserError(
                f"Config key 'eigenpairs.{limit}' is {solver[limit]}, expected at least {formula} = {least}; "
                f"raise it or lower 'eigenpairs.{key}'."
            )
    _check_storage(config)


def check_sizes(config: Mapping[str, Any], datasets: Mapping[str, Dataset]) -> None:
    """Check that subsets, batches and the Hessian's sample fit into training sets, and eigenpairs into networks.

    Args:
        config: A configuration that `check_config` accepts.
        datasets: The declaration of each whole data set.

    Raises:
        UserError: If one does not fit; names the key, its value and the data set or network.
    """
    subsets = config["experiments"].get(TRAINING_SIZES, {})
    for dataset in subsets.get("datasets", []):
        whole = datasets[dataset]
        for size in subsets.get("training_samples", []):
            if size != WHOLE and not whole.classes <= size < whole.training_samples:
                raise UserError(
                    f"Config key 'experiments.training_sizes.training_samples' contains {size}, expected at least the "
                    f"number of classes, {whole.classes}, and fewer than the {whole.training_samples} training "
                    f"samples of {dataset}, or '{WHOLE}' for these."
                )
    datasets = with_subsets(config, datasets)
    sizes = [
        (f"experiments.{name}.batch_size", run.batch_size, "full", run.dataset)
        for name in config["experiments"]
        for run in runs_of(config, name)
    ]
    sizes += [
        ("eigenpairs.samples", config["eigenpairs"]["samples"], "all", dataset)
        for dataset in dict.fromkeys(run.dataset for run in all_runs(config).values())
    ]
    for key, size, everything, dataset in sizes:
        if isinstance(size, int) and size > (samples := datasets[dataset].training_samples):
            raise UserError(
                f"Config key '{key}' asks for {size}, but the training set of {dataset} has "
                f"{samples} samples; lower it or set it to '{everything}'."
            )
    for model, dataset in dict.fromkeys((run.model, run.dataset) for run in all_runs(config).values()):
        parameters = parameters_on(config, model, datasets[dataset])
        for key in ("count", "wide_count"):
            if parameters is not None and (pairs := config["eigenpairs"][key]) > parameters:
                raise UserError(
                    f"Config key 'eigenpairs.{key}' asks for {pairs} eigenpairs, but {model} has only "
                    f"{parameters} parameters on {dataset}; lower it."
                )


def _check_lengths(config: Mapping[str, Any]) -> None:
    """Check that the shortest run is long enough for its checkpoints, and the last has many eigenpairs."""
    count = config["training"]["checkpoints"]["count"]
    shortest = min(all_runs(config).values(), key=lambda run: steps_of(config, run))
    if count > (steps := steps_of(config, shortest)) + 1:
        raise UserError(
            f"Config key 'training.checkpoints.count' is {count}, but with batch size {shortest.batch_size} "
            f"a run of {steps} steps has only {steps + 1} moments to look at; lower it or raise "
            f"'training.{steps_key(config, shortest)}'."
        )
    if (count - 1) % (every := config["eigenpairs"]["wide_every"]):
        raise UserError(
            f"Config key 'eigenpairs.wide_every' is {every}, expected a divisor of {count - 1}, the "
            f"number of intervals between checkpoints; set it to {math.gcd(every, count - 1)}."
        )


def _check_storage(config: Mapping[str, Any]) -> None:
    """Check that figures and the validation of null models find the eigenvectors that they read."""
    storage, count = config["storage"], config["eigenpairs"]["count"]
    if storage["ranks"] != WHOLE and storage["ranks"] < count:
        raise UserError(
            f"Config key 'storage.ranks' is {storage['ranks']}, but the validation of the null models needs "
            f"'eigenpairs.count' = {count} eigenvectors of a checkpoint; raise it to {count} or set it to '{WHOLE}'."
        )
    intervals = config["training"]["checkpoints"]["count"] - 1
    if intervals % storage["every"]:
        raise UserError(
            f"Config key 'storage.every' is {storage['every']}, but figure 16 and the validation of the null "
            f"models need the eigenvectors of the last checkpoint, so it must divide {intervals}, "
            f"'training.checkpoints.count' minus 1; set it to {math.gcd(storage['every'], intervals)}."
        )


def _check_references(config: Mapping[str, Any]) -> None:
    named = []
    for name, experiment in config["experiments"].items():
        named += [
            (f"experiments.{name}.optimizers", experiment["optimizers"], "optimizers", config["optimizers"]),
            (f"experiments.{name}.model", [experiment["model"]], "models", config["models"]),
            (f"experiments.{name}.learning_rate", experiment.get("learning_rate"), "optimizers", config["optimizers"]),
        ]
    figures, nulls = config["figures"], config["null_models"]["names"]
    named += [
        ("figures.null_model", [figures["null_model"]], "null_models.names", nulls),
        ("figures.further_null_models", figures["further_null_models"], "null_models.names", nulls),
    ]
    for key, names, where, known in named:
        if absent := [name for name in names or () if name not in known]:
            raise UserError(
                f"Config key '{key}' names {absent[0]!r}, which is not in '{where}', expected one of "
                f"{listing(known)}; fix the name, or add it to '{where}'."
            )


def _check_null_models(config: Mapping[str, Any]) -> None:
    """Check that null models of trained networks have networks, and enough draws for a displacement."""
    main, nulls = config["experiments"]["main"], config["null_models"]
    least, shown = 2 * len(main["optimizers"]), config["figures"]["null_model"]
    for name, model in (*((name, name) for name in nulls["names"]), ("wide", shown)):
        if NULL_MODELS[model].of_training and nulls["draws"][name] < least:
            raise UserError(
                f"Config key 'null_models.draws.{name}' is {nulls['draws'][name]}, expected at least two for "
                f"each optimizer of the main experiment, {least}; raise it."
            )
    for name, experiment in config["experiments"].items():
        known = experiment["model"] == main["model"] and experiment["datasets"][0] in main["datasets"]
        # The main experiment has no trainings on subsets.
        known = known and name != TRAINING_SIZES
        if NULL_MODELS[shown].of_training and not known:
            raise UserError(
                f"Config key 'figures.null_model' is '{shown}', a null model of trained networks of the main "
                f"experiment, but 'experiments.{name}' has another model or data set; set it to "
                "'reinitialized' or 'isotropic', or leave that experiment out."
            )


def _check_sweeps(config: Mapping[str, Any]) -> None:
    """Check that the main experiment varies nothing and that a sweep varies one setting."""
    main = config["experiments"]["main"]
    if isinstance(main["batch_size"], list):
        raise UserError(
            f"Config key 'experiments.main.batch_size' is {shown(main['batch_size'])}, expected one batch size; put "
            "others into an experiment of their own, as 'experiments.batch_sizes' of config.yaml shows."
        )
    if "learning_rate" in main:
        raise UserError(
            "Config key 'experiments.main.learning_rate' is not for the main experiment, which takes "
            "learning rates from 'optimizers'; put others into an experiment of their own, as "
            "'experiments.learning_rates' of config.yaml shows."
        )
    for name, experiment in config["experiments"].items():
        sizes, rates = experiment["batch_size"], experiment.get("learning_rate", {})
        sizes_vary = isinstance(sizes, list) and len(sizes) > 1
        rates_vary = any(len(listed) > 1 for listed in rates.values())
        if sizes_vary and rates_vary:
            raise UserError(
                f"Config key 'experiments.{name}.learning_rate' varies while 'experiments.{name}.batch_size' "
                "does, expected one that varies; make two experiments of it."
            )
        # Figures show these two sweeps.
        if name == "batch_sizes" and rates_vary:
            raise UserError(
                "Config key 'experiments.batch_sizes.learning_rate' varies, expected the batch size alone to; "
                "move it to 'experiments.learning_rates'."
            )
        if name == "learning_rates" and sizes_vary:
            raise UserError(
                "Config key 'experiments.learning_rates.batch_size' varies, expected learning rates alone to; "
                "move it to 'experiments.batch_sizes'."
            )


def _check_training_sizes(config: Mapping[str, Any]) -> None:
    """Check that sizes vary in one experiment only, that its learning rates can be paired, and that trainings suffice.

    The shortest training must have a checkpoint after its start.
    """
    for name, experiment in config["experiments"].items():
        for key in ("training_samples", "training_lengths"):
            if key in experiment and name != TRAINING_SIZES:
                raise UserError(
                    f"Config key 'experiments.{name}.{key}' is only for 'experiments.training_sizes', the "
                    "one experiment that varies more than one setting; move it there."
                )
    if (experiment := config["experiments"].get(TRAINING_SIZES)) is None:
        return
    if absent := [name for name in COMPARED if name not in experiment["optimizers"]]:
        raise UserError(
            f"Config key 'experiments.training_sizes.optimizers' lacks {' and '.join(absent)}, which claims "
            "compare; add what is missing."
        )
    if isinstance(experiment["batch_size"], list):
        raise UserError(
            "Config key 'experiments.training_sizes.batch_size' is a list, expected one batch size, because "
            "training samples and learning rates vary; put others into 'experiments.batch_sizes'."
        )
    rates = experiment.get("learning_rate", {})
    counts = {name: len(rates.get(name, [None])) for name in COMPARED}
    if len(set(counts.values())) > 1:
        listed = " and ".join(f"{count} for {name}" for name, count in counts.items())
        raise UserError(
            f"Config key 'experiments.training_sizes.learning_rate' has {listed}, expected the same number "
            "for each, because learning rates at the same position are compared; make the lists equally long."
        )
    training = config["training"]
    linear = training["checkpoints"]["spacing"] == "linear"
    first = 1 / (training["checkpoints"]["count"] - 1 if linear else training["steps"])
    if (shortest := min(experiment.get("training_lengths", [1]))) < first:
        raise UserError(
            f"Config key 'experiments.training_sizes.training_lengths' contains {shortest}, but the first checkpoint "
            f"after the start comes after {first:.3g} of the training; raise it or 'training.checkpoints.count'."
        )
