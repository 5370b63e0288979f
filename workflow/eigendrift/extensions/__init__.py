"""What plug-ins can add: optimizers, networks, data sets, null models, metrics and figures.

A plug-in is a Python file with a list ``EXTENSIONS`` of these, which a study names under ``plugins``. What the package
ships is declared in the same way.
"""

from eigendrift.extensions.kinds import Dataset as Dataset
from eigendrift.extensions.kinds import Figure as Figure
from eigendrift.extensions.kinds import Metric as Metric
from eigendrift.extensions.kinds import Model as Model
from eigendrift.extensions.kinds import NullModel as NullModel
from eigendrift.extensions.kinds import Optimizer as Optimizer
