"""Before the first job: what makes many small jobs quick, where they run on this machine.

Consumes and produces nothing.
"""

import forkserver


onstart:
    if workflow.is_main_process and workflow.local_exec:
        # Its limit of jobs per second makes Snakemake look at all waiting jobs and the sizes of all their inputs
        # again, every second once for each job that has ended: a core's work after some hundred jobs.
        workflow.scheduler.job_rate_limiter = None
        forkserver.start()
