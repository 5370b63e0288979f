"""Figures.

Consumes runs/<run>/metrics.zarr of the main experiment and the baselines of the chosen null model.
Produces figures/figNN_<name>.png, .pdf and .csv, the numbers plotted.
"""

FIGURES = [
    "fig01_displacement",
    "fig02_alignment",
    "fig03_localization",
    "fig04_training_loss",
    "fig05_test_accuracy",
    "fig06_eigenvalues",
    "fig07_convergence",
]
if len(SHOWN) > 1:
    FIGURES.append("fig09_displacement")


rule fig01:
    input:
        **MEASURED,
        code=code("fig_displacement"),
    output:
        **picture("fig01_displacement"),
    log:
        "results/{study}/logs/figures/fig01.log",
    conda:
        "../../envs/figures.yaml"
    params:
        settings={
            "dataset": SHOWN[0],
            "waiting_times": config["figures"]["waiting_times"],
        },
        style=config["figures"]["style"],
    message:
        "Figure 1: two-time displacement of the leading eigenvector"
    script:
        "../scripts/fig_displacement.py"


rule fig02:
    input:
        **MEASURED,
        code=code("fig_alignment"),
    output:
        **picture("fig02_alignment"),
    log:
        "results/{study}/logs/figures/fig02.log",
    conda:
        "../../envs/figures.yaml"
    params:
        settings={},
        style=config["figures"]["style"],
    message:
        "Figure 2: update against gradient alignment"
    script:
        "../scripts/fig_alignment.py"


rule fig03:
    input:
        **MEASURED,
        code=code("fig_localization"),
    output:
        **picture("fig03_localization"),
    log:
        "results/{study}/logs/figures/fig03.log",
    conda:
        "../../envs/figures.yaml"
    params:
        settings={},
        style=config["figures"]["style"],
    message:
        "Figure 3: localization of the leading eigenvector"
    script:
        "../scripts/fig_localization.py"


rule fig04:
    input:
        **MEASURED,
        code=code("fig_training_loss"),
    output:
        **picture("fig04_training_loss"),
    log:
        "results/{study}/logs/figures/fig04.log",
    conda:
        "../../envs/figures.yaml"
    params:
        settings={},
        style=config["figures"]["style"],
    message:
        "Figure 4: training loss"
    script:
        "../scripts/fig_training_loss.py"


rule fig05:
    input:
        **MEASURED,
        code=code("fig_accuracy"),
    output:
        **picture("fig05_test_accuracy"),
    log:
        "results/{study}/logs/figures/fig05.log",
    conda:
        "../../envs/figures.yaml"
    params:
        settings={},
        style=config["figures"]["style"],
    message:
        "Figure 5: test accuracy"
    script:
        "../scripts/fig_accuracy.py"


rule fig06:
    input:
        **MEASURED,
        code=code("fig_eigenvalues"),
    output:
        **picture("fig06_eigenvalues"),
    log:
        "results/{study}/logs/figures/fig06.log",
    conda:
        "../../envs/figures.yaml"
    params:
        settings={},
        style=config["figures"]["style"],
    message:
        "Figure 6: leading eigenvalues"
    script:
        "../scripts/fig_eigenvalues.py"


rule fig07:
    input:
        **MEASURED,
        code=code("fig_convergence"),
    output:
        **picture("fig07_convergence"),
    log:
        "results/{study}/logs/figures/fig07.log",
    conda:
        "../../envs/figures.yaml"
    params:
        settings={},
        style=config["figures"]["style"],
    message:
        "Figure 7: convergence to the final basin"
    script:
        "../scripts/fig_convergence.py"


if len(SHOWN) > 1:

    use rule fig01 as fig09 with:
        output:
            **picture("fig09_displacement"),
        log:
            "results/{study}/logs/figures/fig09.log",
        params:
            settings={
                "dataset": SHOWN[1],
                "waiting_times": config["figures"]["waiting_times"],
            },
            style=config["figures"]["style"],
        message:
            "Figure 9: two-time displacement on the second data set"
