"""Before the first job: one snakemake for one study's results, and what makes many small jobs quick.

Consumes nothing. Produces logs/snakemake.lock, which says who works, and logs/code.json, with which code it began.
"""

import gc

from snakemake_interface_executor_plugins.settings import SharedFSUsage

import atwork
import forkserver
import unedited

# The plan of a large study is millions of objects that stay: to look for garbage among them as often as Python
# does takes a tenth of the planning.
gc.set_threshold(50_000, 20, 50)

PLACE = Path(f"results/{STUDY}")
# That of a snakemake which started this one is none of its own.
os.environ.pop(unedited.VARIABLE, None)
if workflow.is_main_process:
    if at_work := atwork.holder(PLACE):
        # Snakemake's own refusal advises to unlock, and does not know who is at work.
        logger.warning(atwork.refusal(PLACE, at_work))
elif (
    SharedFSUsage.INPUT_OUTPUT in workflow.storage_settings.shared_fs_usage
    # Of a module Snakemake ignores what is to be done on start, so there is no record to check against.
    and not IS_MODULE
):
    try:
        unedited.check_job(PLACE, BEGAN_WITH)
    except UserError as error:
        raise WorkflowError(str(error)) from None


onstart:
    if workflow.is_main_process:
        try:
            atwork.check_writable(
                path
                for job in workflow.dag.needrun_jobs()
                for path in [*job.output, *job.log]
            )
            atwork.hold(PLACE)
            unedited.leave_record(PLACE, BEGAN_WITH)
        except UserError as error:
            raise WorkflowError(str(error)) from None
    if workflow.is_main_process and workflow.local_exec:
        # Its limit of jobs per second makes Snakemake look at all waiting jobs and the sizes of all their inputs
        # again, every second once for each job that has ended: a core's work after some hundred jobs.
        workflow.scheduler.job_rate_limiter = None
        forkserver.start()
