"""An optimizer: SGD along the signs of the gradient (Bernstein et al. 2018)."""

from eigendrift.extensions import Optimizer


def build(parameters, settings):
    """Make it."""
    import torch

    class SignSGD(torch.optim.SGD):
        """Each parameter moves by the learning rate, and by its decay towards zero."""

        @torch.no_grad()
        def step(self, closure=None):
            for group in self.param_groups:
                for parameter in group["params"]:
                    parameter.mul_(1 - group["lr"] * settings["shrinkage"])
                    parameter.sub_(parameter.grad.sign(), alpha=group["lr"])

    return SignSGD(parameters, lr=settings["learning_rate"])


EXTENSIONS = [
    Optimizer(
        name="signs",
        build=build,
        settings={
            "shrinkage": {
                "description": "Share of the weights, times the learning rate, that a step takes away.",
                "type": "number",
                "minimum": 0,
            }
        },
        description="SGD along the signs of the gradient.",
    )
]
