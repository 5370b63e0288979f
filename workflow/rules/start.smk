"""Before the first job: a server that spares jobs their imports, where jobs run on this machine.

Consumes and produces nothing.
"""

sys.path.insert(0, str(WORKFLOW / "scripts"))

import forkserver


onstart:
    if workflow.is_main_process and workflow.local_exec:
        forkserver.start()
