"""An optimizer: SGD along the signs of the gradient (Bernstein et al. 2018)."""

from eigendrift.extensions import Optimizer


def build(parameters, settings):
    """Return the optimizer."""
    import torch

    class SignSGD(torch.optim.SGD):
        """SGD that moves every parameter by the learning rate, after shrinking it."""

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
                "description": "Each step shrinks the weights by this share times the learning rate.",
                "type": "number",
                "minimum": 0,
            }
        },
        description="SGD along the signs of the gradient.",
    )
]
