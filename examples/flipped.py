"""A null model: initial weights with random signs."""

from eigendrift.extensions import NullModel


def draw(inputs, draws):
    """Return the leading eigenpairs at initial weights with random signs."""
    import torch

    from eigendrift.null.sampling import starts_of
    from eigendrift.numerics import generator

    weights = []
    for number in draws:
        initial = inputs.initial(number)
        signs = torch.randint(0, 2, initial.shape, generator=generator("null", "flipped", number)) * 2 - 1
        weights.append(initial * signs.numpy().astype("float32"))
    return inputs.landscape.eigenpairs_at_each(weights, starts_of(draws))


EXTENSIONS = [
    NullModel(
        name="flipped",
        draw=draw,
        draws="the Hessian at {} initializations with random signs",
        keeps="the sizes of initial weights",
        destroys="their signs",
    )
]
