"""The configuration as files: checked, and read by Snakemake.

Consumes config.yaml and the files laid over it; where another workflow has eigendrift as a module, the configuration
that it gives. Produces nothing.
"""

import logging
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

# Where another workflow has eigendrift as a module, workflow.basedir is that workflow's.
WORKFLOW = Path(workflow.current_basedir.get_path_or_uri(secret_free=False)).parent
IS_MODULE = not workflow.modifier.is_main_snakefile()
if not (WORKFLOW / "eigendrift").is_dir():
    raise WorkflowError(
        "eigendrift is a library as well as a workflow, so its Snakefile has to be on this machine; clone the repository "
        "and give the path of the clone's Snakefile."
    )
sys.path.insert(0, str(WORKFLOW))

import overlay
from eigendrift.errors import UserError

# Python shows a call stack for each line that has no room in Snakemake's log; the terminal has that line, too.
logging.raiseExceptions = False

# Jobs have the configuration as the main process has checked it.
if workflow.is_main_process and not IS_MODULE:
    try:
        overlay.check_workflow_profile(
            sys.argv[1:], Path(workflow.rundir), WORKFLOW.parent
        )
        for file in [WORKFLOW.parent / "config.yaml", *workflow.configfiles]:
            overlay.read_config(file)
    except UserError as error:
        raise WorkflowError(str(error)) from None


configfile: f"{WORKFLOW.parent}/config.yaml"


if IS_MODULE:
    if workflow.modifier.path_modifier.replace_prefix("results/") != "results/":
        raise WorkflowError(
            "eigendrift's results are in results/<study>; leave out prefix and replace_prefix of the module."
        )
    try:
        config = overlay.over_default(config)
    except UserError as error:
        raise WorkflowError(str(error)) from None
