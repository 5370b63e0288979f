"""Null models, and the untrained networks that they are compared with.

Consumes data/<dataset>.zarr, and runs/<run>/trajectory.zarr of the main experiment for the null model `permuted`.
Produces null/<dataset>/<model>/<null>.zarr, the draws, and their manifest.
"""


def permuted_by(w):
    """Return the trajectories whose final weights a null model permutes; none for other null models."""
    model = NULL_MODELS.get(w.null.removeprefix(WIDE))
    # Null models of untrained networks have a prefix of their own, and read no trajectory.
    if model is None or not model.needs_ends:
        return []
    return [
        store_of(run, "trajectory")
        for run in MAIN
        if (run.dataset, run.model) == (w.dataset, w.model)
    ]


def plugins_for_null(w):
    """Return the plug-ins of the network, the null model, and the optimizers of its trainings."""
    settings = null_settings(config, w.dataset, w.model, w.null)
    optimizers = [training["optimizer"]["name"] for training in settings["trainings"]]
    return plugins_of(
        (Model, kind_of(config["models"][w.model])),
        (NullModel, settings["null_model"]),
        *((Optimizer, name) for name in optimizers),
    )


rule null_model:
    input:
        data=ancient("<results>/data/{dataset}.zarr"),
        trajectories=lambda w: ancient(permuted_by(w)),
        manifests=lambda w: [
            f"<results>/data/{w.dataset}.json",
            *manifests_of(permuted_by(w)),
        ],
    output:
        store=directory("<results>/null/{dataset}/{model}/{null}.zarr"),
        manifest="<results>/null/{dataset}/{model}/{null}.json",
    log:
        "<results>/logs/null_model/{dataset}/{model}/{null}.log",
    benchmark:
        "<results>/benchmarks/null_model/{dataset}/{model}/{null}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        gpu=gpus(),
    params:
        code=code("null", plugins=plugins_for_null),
        plugins=of_job(plugins_for_null),
        settings=lambda w: null_settings(config, w.dataset, w.model, w.null),
        device=config["device"],
    message:
        "Drawing from the null model {wildcards.null} of {wildcards.model} on {wildcards.dataset}"
    script:
        "../scripts/null.py"
