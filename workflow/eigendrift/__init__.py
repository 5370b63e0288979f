"""What an optimizer does to the curvature of a network.

Data flows one way, and modules import only to the left:
``data → training → eigenpairs → null → metrics → claims and figures``.
"""

__version__ = "0.1.0"
