"""Before the first job: one snakemake for one study's results, and what makes many small jobs quick.

Consumes and produces nothing.
"""

import gc

import atwork
import forkserver

# The plan of a large study is millions of objects that stay: to look for garbage among them as often as Python
# does takes a tenth of the planning.
gc.set_threshold(50_000, 20, 50)

PLACE = Path(f"results/{STUDY}")

if workflow.is_main_process and (at_work := atwork.holder(PLACE)):
    # Snakemake's own refusal advises to unlock, and does not know who is at work.
    logger.warning(atwork.refusal(PLACE, at_work))


onstart:
    if workflow.is_main_process:
        try:
            atwork.check_writable(
                path
                for job in workflow.dag.needrun_jobs()
                for path in [*job.output, *job.log]
            )
            atwork.hold(PLACE)
        except UserError as error:
            raise WorkflowError(str(error)) from None
    if workflow.is_main_process and workflow.local_exec:
        # Its limit of jobs per second makes Snakemake look at all waiting jobs and the sizes of all their inputs
        # again, every second once for each job that has ended: a core's work after some hundred jobs.
        workflow.scheduler.job_rate_limiter = None
        forkserver.start()
