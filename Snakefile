"""eigendrift: what an optimizer does to the curvature of a network.

Data flows one way: data → training → eigenpairs → null models → metrics → validation and claims → figures → report.
"""

from snakemake.utils import min_version

min_version("9.27")


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/training.smk"
include: "workflow/rules/eigenpairs.smk"
include: "workflow/rules/null.smk"
include: "workflow/rules/minima.smk"
include: "workflow/rules/metrics.smk"
include: "workflow/rules/validation.smk"
include: "workflow/rules/claims.smk"
include: "workflow/rules/regimes.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/report.smk"


rule all:
    default_target: True
    input:
        RESULTS,
    message:
        f"Figures and claims of the study {STUDY} are in results/{STUDY}"
