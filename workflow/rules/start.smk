"""Before the first job: one snakemake for one study's results, and what makes many small jobs quick.

Consumes and produces nothing.
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
RULES = [
    Path(workflow.main_snakefile),
    *WORKFLOW.rglob("*.smk"),
    *WORKFLOW.glob("schemas/*"),
]

if workflow.is_main_process and (at_work := atwork.holder(PLACE)):
    # Snakemake's own refusal advises to unlock, and does not know who is at work.
    logger.warning(atwork.refusal(PLACE, at_work))

if workflow.is_main_process:
    BEGINNING = unedited.digests_of(
        [*RULES, *WORKFLOW.rglob("*.py"), *map(Path, files_of((), PLUGINS))], WRITTEN
    )
elif SharedFSUsage.INPUT_OUTPUT in workflow.storage_settings.shared_fs_usage:
    # Where files are not shared, jobs have the code that snakemake packed for them when it began.
    try:
        unedited.check_job(PLACE, unedited.digests_of(RULES, WRITTEN))
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
            unedited.leave_record(PLACE, BEGINNING)
        except UserError as error:
            raise WorkflowError(str(error)) from None
    # Also in a group of jobs on a cluster, of which one snakemake runs all.
    if workflow.local_exec and len(list(workflow.dag.needrun_jobs())) > 1:
        # Its limit of jobs per second makes Snakemake look at all waiting jobs and the sizes of all their inputs
        # again, every second once for each job that has ended: a core's work after some hundred jobs.
        workflow.scheduler.job_rate_limiter = None
        forkserver.start()
