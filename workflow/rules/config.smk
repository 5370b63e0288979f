"""The configuration as files: checked, and read by Snakemake.

Consumes config.yaml and the files laid over it. Produces nothing.
"""

import logging
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

WORKFLOW = Path(workflow.basedir) / "workflow"
sys.path.insert(0, str(WORKFLOW))

import overlay
from eigendrift.errors import UserError

# Python shows a call stack for each line that has no room in Snakemake's log; the terminal has that line, too.
logging.raiseExceptions = False

# Jobs have the configuration as the main process has checked it.
if workflow.is_main_process:
    try:
        for file in [Path(workflow.basedir) / "config.yaml", *workflow.configfiles]:
            overlay.read_config(file)
    except UserError as error:
        raise WorkflowError(str(error)) from None


configfile: f"{workflow.basedir}/config.yaml"
