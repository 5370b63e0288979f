"""Claims.

Consumes runs/<run>/metrics.zarr of the main experiment and the baselines of the chosen null model.
Produces claims.json and claims.csv.
"""


rule claims:
    input:
        **MEASURED,
        code=code("claims"),
    output:
        json=report(
            "results/{study}/claims.json",
            caption="../report/claims.rst",
            category="Claims",
            labels={"file": "whole record (json)"},
        ),
        csv=report(
            "results/{study}/claims.csv",
            caption="../report/claims.rst",
            category="Claims",
            labels={"file": "table (csv)"},
        ),
    log:
        "results/{study}/logs/claims.log",
    benchmark:
        "results/{study}/benchmarks/claims.tsv"
    conda:
        "../../envs/analysis.yaml"
    params:
        settings=config["claims"],
    message:
        "Deciding the claims"
    script:
        "../scripts/claims.py"
