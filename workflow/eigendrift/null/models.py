"""Null models by name: what each keeps and destroys. The module does not import torch."""

from eigendrift.extensions.kinds import NullModel, lazy
from eigendrift.extensions.registry import known

MODELS = "eigendrift.null.sampling"

NULL_MODELS = known(
    NullModel,
    NullModel(
        name="isotropic",
        draw=lazy(MODELS, "isotropic"),
        draws="{} draws of random directions",
        keeps="the number of parameters",
        destroys="architecture, data and training",
    ),
    NullModel(
        name="reinitialized",
        draw=lazy(MODELS, "reinitialized"),
        draws="the Hessian at {} fresh initializations",
        keeps="architecture, data and the distribution of initial weights",
        destroys="all that training does",
    ),
    NullModel(
        name="permuted",
        draw=lazy(MODELS, "permuted"),
        draws="the Hessian at the final weights of the main experiment's runs, permuted within each weight "
        "matrix and bias vector, {} draws shared among the optimizers",
        keeps="architecture, data and each layer's trained weights as a set",
        destroys="how they are arranged",
        of_training=True,
        needs_ends=True,
    ),
    NullModel(
        name="shuffled_labels",
        draw=lazy(MODELS, "shuffled_labels"),
        draws="the Hessian at the end of {} trainings, shared among the optimizers, on labels shuffled among "
        "the training samples, and over these samples",
        keeps="architecture, initialization, images, class frequencies, optimizer and length of training",
        destroys="what there is to learn about the images",
        of_training=True,
    ),
)
