"""Claims.

Consumes runs/<run>/metrics.zarr of the main experiment and the sweeps, and the baselines of the configured null model;
runs/<run>/wide/metrics.zarr and their baselines if the sensitivity of a claim needs more eigenpairs; and
null_validation.csv and null_departure.csv, which say whether the null model supports a claim.
Produces claims.json with its checksum, claims.csv and claims_sensitivity.csv. A run that decided the claims prints a
line for each verdict.
"""

import json

from eigendrift.claims.console import console_table

CLAIMS_STORES = {
    "metrics": [store_of(run, "metrics") for run in MAIN],
    "baselines": baselines_of(MAIN, [SHOWN_NULL]),
}
if max(config["claims"]["sensitivity"]["ranks"]) > config["eigenpairs"]["count"]:
    CLAIMS_STORES["wide_metrics"] = [store_of(run, "wide/metrics") for run in MAIN]
    CLAIMS_STORES["wide_baselines"] = baselines_of(MAIN, [wide_name(config)])
for sweep in ("batch_sizes", "learning_rates"):
    if sweep in config["experiments"]:
        CLAIMS_STORES[sweep] = [store_of(run, "metrics") for run in runs_of(config, sweep)]


rule claims:
    input:
        **{name: ancient(stores) for name, stores in CLAIMS_STORES.items()},
        manifests=manifests_of(dict.fromkeys(sum(CLAIMS_STORES.values(), []))),
        validation="<results>/null_validation.csv",
        departure="<results>/null_departure.csv",
        checksums=[
            "<results>/null_validation.csv.sha256",
            "<results>/null_departure.csv.sha256",
        ],
    output:
        json=report(
            "<results>/claims.json",
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
        checksum="<results>/claims.json.sha256",
    log:
        "<results>/logs/claims.log",
    benchmark:
        "<results>/benchmarks/claims.tsv"
    conda:
        "../../envs/analysis.yaml"
    params:
        code=code("claims"),
        settings=ordered(config["claims"] | config["metrics"]),
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
