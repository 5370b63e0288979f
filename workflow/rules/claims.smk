"""Claims.

Consumes runs/<run>/metrics.zarr of the main experiment and the sweeps, and the baselines of the chosen null model; of
the main experiment the same with more eigenpairs, where a claim's sensitivity asks for them. Also null_validation.csv
and null_departure.csv, which say whether the null model bears a claim.
Produces claims.json with its digest, claims.csv and claims_sensitivity.csv; at the end of a run that asked for them, a line for each verdict.
"""

import json

from eigendrift.claims.console import console_table

SWEEPS = {
    name: [store_of(run, "metrics") for run in runs_of(config, name)]
    for name in ("batch_sizes", "learning_rates")
    if name in config["experiments"]
}
VERDICTS = "<results>/claims.json"


rule claims:
    input:
        **{name: stores for name, stores in DECIDED.items() if name != "manifests"},
        **{name: ancient(stores) for name, stores in SWEEPS.items()},
        manifests=list(
            dict.fromkeys(
                DECIDED["manifests"] + manifests_of(sum(SWEEPS.values(), []))
            )
        ),
        validation=VALIDATION,
        departure=DEPARTURE,
        seals=checksums_of(VALIDATION, DEPARTURE),
    output:
        json=report(
            VERDICTS,
            caption="../report/claims.rst",
            category="Claims",
            labels={"figure": "verdicts", "file": "whole record (json)"},
        ),
        csv=report(
            "<results>/claims.csv",
            caption="../report/claims.rst",
            category="Claims",
            labels={"figure": "verdicts", "file": "table (csv)"},
        ),
        sensitivity=report(
            "<results>/claims_sensitivity.csv",
            caption="../report/claims.rst",
            category="Claims",
            labels={"figure": "sensitivity", "file": "table (csv)"},
        ),
        seals=checksums_of(VERDICTS),
    log:
        "<results>/logs/claims.log",
    benchmark:
        "<results>/benchmarks/claims.tsv"
    conda:
        "../../envs/analysis.yaml"
    params:
        code=code("claims"),
        settings=config["claims"],
        # As an input, its path would differ between clones.
        schema=json.loads((WORKFLOW / "schemas/claims.schema.json").read_text("utf-8")),
    message:
        "Deciding the claims"
    script:
        "../scripts/claims.py"


onsuccess:
    if any(job.rule.name == "claims" for job in workflow.dag.jobs):
        try:
            print(console_table(Path(f"results/{STUDY}/claims.json")))
        except UserError as error:
            raise WorkflowError(str(error)) from None
