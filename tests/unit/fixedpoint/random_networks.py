"""Small networks with random weights, one per architecture that packaging must fold."""

import numpy as np
import torch
from torch import nn

from cloister.fixedpoint import Arithmetic, InputSpec, package_model

ARITHMETIC = Arithmetic(t=12, f=10, s=12)


class Residual(nn.Module):
    """relu(body(x) + shortcut(x)), written as users write it."""

    def __init__(self, body, shortcut=None):
        super().__init__()
        self.body = body
        self.shortcut = nn.Identity() if shortcut is None else shortcut

    def forward(self, x):
        return torch.relu(self.body(x) + self.shortcut(x))


class InPlaceResidual(Residual):
    """The form of torchvision's ResNet."""

    def __init__(self, body, shortcut=None):
        super().__init__(body, shortcut)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        identity = self.shortcut(x)
        out = self.body(x)
        out += identity
        return self.relu(out).flatten(1)


def seq(*layers):
    return nn.Sequential(*layers)


def image(*layers):
    return seq(*layers), (2, 5, 6)


NETWORKS = {
    "linear": lambda: (seq(nn.Linear(4, 3)), (4,)),
    "bare_linear": lambda: (nn.Linear(4, 3), (4,)),
    "mlp": lambda: (seq(nn.Linear(6, 9), nn.ReLU(), nn.Dropout(), nn.Linear(9, 5), nn.ReLU(), nn.Linear(5, 3)), (6,)),
    "mlp_without_bias": lambda: (seq(nn.Linear(6, 5, bias=False), nn.ReLU(), nn.Linear(5, 2, bias=False)), (6,)),
    "batch_norm_after_linear": lambda: (
        seq(nn.Linear(5, 7), nn.BatchNorm1d(7), nn.ReLU(), nn.Linear(7, 3)),
        (5,),
    ),
    "batch_norm_first": lambda: (seq(nn.BatchNorm1d(5), nn.Linear(5, 3)), (5,)),
    "batch_norm_alone": lambda: (seq(nn.BatchNorm1d(5), nn.ReLU()), (5,)),
    "batch_norm_not_affine": lambda: (seq(nn.Linear(5, 4), nn.BatchNorm1d(4, affine=False)), (5,)),
    "linear_linear": lambda: (seq(nn.Linear(5, 7), nn.Linear(7, 3), nn.ReLU(), nn.Linear(3, 2)), (5,)),
    "ends_in_relu": lambda: (seq(nn.Linear(5, 4), nn.ReLU()), (5,)),
    "relu_of_input": lambda: (seq(nn.ReLU(), nn.Linear(4, 2)), (4,)),
    "conv": lambda: image(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(36, 3)),
    "conv_stride_padding": lambda: image(
        nn.Conv2d(2, 3, (3, 2), stride=(2, 1), padding=(1, 1)), nn.ReLU(), nn.Conv2d(3, 2, 2, stride=2)
    ),
    "conv_same": lambda: image(nn.Conv2d(2, 3, (3, 5), padding="same"), nn.ReLU(), nn.Conv2d(3, 1, 2, padding="valid")),
    "conv_batch_norm": lambda: image(
        nn.Conv2d(2, 3, 3, padding=1, bias=False), nn.BatchNorm2d(3), nn.ReLU(), nn.Conv2d(3, 2, 3)
    ),
    "batch_norm_before_padded_conv": lambda: image(nn.BatchNorm2d(2), nn.Conv2d(2, 3, 3, padding=1), nn.ReLU()),
    "pool_before_linear": lambda: image(nn.Conv2d(2, 3, 2), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(12, 3)),
    "pool_before_conv": lambda: image(nn.ReLU(), nn.AvgPool2d(2, stride=1), nn.Conv2d(2, 3, 3, padding=1)),
    "pool_after_conv": lambda: image(nn.Conv2d(2, 3, 3, padding=1), nn.AvgPool2d(2), nn.ReLU(), nn.Conv2d(3, 2, 2)),
    "pool_overlapping_padded": lambda: image(
        nn.Conv2d(2, 3, 3), nn.AvgPool2d(3, stride=1, padding=1), nn.BatchNorm2d(3), nn.ReLU(), nn.Conv2d(3, 1, 2)
    ),
    "pool_alone": lambda: image(nn.AvgPool2d((5, 3))),
    "pool_divisor": lambda: image(nn.AvgPool2d(2, divisor_override=3), nn.Conv2d(2, 2, 2)),
    "global_pool": lambda: image(nn.Conv2d(2, 4, 3), nn.AvgPool2d((3, 4)), nn.Flatten()),
    "pool_twice": lambda: image(nn.AvgPool2d(2, stride=1), nn.AvgPool2d((2, 1)), nn.Flatten(), nn.Linear(20, 2)),
    "conv_flatten_linear": lambda: image(nn.Conv2d(2, 2, 3), nn.Flatten(), nn.Linear(24, 3)),
    "conv_flatten_batch_norm": lambda: image(nn.Conv2d(2, 2, 3), nn.Flatten(), nn.BatchNorm1d(24), nn.ReLU()),
    "flatten_before_relu": lambda: image(nn.Conv2d(2, 2, 3), nn.Flatten(), nn.ReLU(), nn.Linear(24, 3)),
    "flatten_batch_norm_relu": lambda: image(nn.Flatten(), nn.BatchNorm1d(60), nn.ReLU(), nn.Linear(60, 3)),
    "residual_identity": lambda: (seq(nn.Linear(5, 5), nn.ReLU(), Residual(nn.Linear(5, 5)), nn.Linear(5, 2)), (5,)),
    "residual_of_input": lambda: (
        seq(Residual(seq(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 4))), nn.Linear(4, 2)),
        (4,),
    ),
    "residual_conv": lambda: image(
        Residual(seq(nn.Conv2d(2, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(), nn.Conv2d(3, 2, 3, padding=1))),
        nn.Flatten(),
        nn.Linear(60, 2),
    ),
    "residual_projection": lambda: image(
        Residual(nn.Conv2d(2, 4, 3, stride=2, padding=1), seq(nn.Conv2d(2, 4, 1, stride=2), nn.BatchNorm2d(4))),
        nn.Flatten(),
        nn.Linear(36, 2),
    ),
    "residual_pooled_shortcut": lambda: image(
        Residual(nn.Conv2d(2, 2, 3, stride=2, padding=1), nn.AvgPool2d(3, stride=2, padding=1)),
        nn.Conv2d(2, 1, 2),
    ),
    "residual_in_place": lambda: image(InPlaceResidual(nn.Conv2d(2, 2, 3, padding=1)), nn.Linear(60, 2)),
    "batch_norm_after_sum": lambda: image(
        Residual(seq(nn.Conv2d(2, 2, 1), nn.ReLU())), nn.BatchNorm2d(2), nn.Flatten()
    ),
}


def make_network(architecture, seed):
    """(module in evaluation mode with random parameters and statistics, input shape)."""
    torch.manual_seed(seed)
    network, shape = NETWORKS[architecture]()
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            layer.running_mean.uniform_(-0.5, 0.5)
            layer.running_var.uniform_(0.5, 2.0)
            if layer.affine:
                nn.init.uniform_(layer.weight, -1.5, 1.5)
                nn.init.uniform_(layer.bias, -0.5, 0.5)
    return network.eval(), shape


def plain_spec(shape, low=-1500, high=1500):
    return InputSpec(shape=shape, mean=("0",), scale=("1",), low=(low,), high=(high,))


def make_package(architecture="mlp", seed=0, arithmetic=ARITHMETIC, **options):
    network, shape = make_network(architecture, seed)
    return package(network, plain_spec(shape, **options), arithmetic)


def package(network, spec, arithmetic=ARITHMETIC):
    with torch.no_grad():
        count = network(torch.zeros(2, *spec.shape, dtype=next(network.parameters(), torch.zeros(1)).dtype))
    return package_model(
        network,
        name="random",
        labels=[f"output {i}" for i in range(count[0].numel())],
        input_spec=spec,
        arithmetic=arithmetic,
        salt=bytes(32),
    )


def random_rows(package, seed, count=5):
    low, high = package.manifest.input.bounds()
    return np.random.default_rng(seed).integers(low, high + 1, size=(count, *low.shape))


def corner_rows(package, seed, count=5):
    """Every entry at one end of its range."""
    low, high = package.manifest.input.bounds()
    return np.where(np.random.default_rng(seed).integers(0, 2, size=(count, *low.shape)), high, low)
