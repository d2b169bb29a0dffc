"""What packaging refuses, by name, and how it folds what it accepts."""

import pytest
import torch
from random_networks import ARITHMETIC, NETWORKS, Residual, make_package, plain_spec
from torch import nn
from torch.nn import functional

from cloister.domain.errors import CloisterError
from cloister.fixedpoint import (
    Conv2d,
    Dense,
    Flatten,
    InputSpec,
    InvalidModelInput,
    InvalidPackage,
    SumPool,
    UnsupportedLayer,
    package_model,
)

IMAGE = (2, 6, 6)


class Forward(nn.Module):
    """A module whose forward is given."""

    def __init__(self, forward, **layers):
        super().__init__()
        self.run = forward
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x):
        return self.run(self, x)


class TwoInputs(nn.Module):
    def forward(self, x, y):
        return x + y


class MyLinear(nn.Linear):
    def forward(self, x):
        return super().forward(x).abs()


def hooked():
    layer = nn.Linear(72, 2)
    layer.register_forward_hook(lambda module, args, out: out * 2)
    return layer


def nan_weights():
    layer = nn.Linear(72, 2)
    nn.init.constant_(layer.weight, float("nan"))
    return layer


def pack(network, shape=IMAGE, labels=2):
    return package_model(
        network, name="x", labels=["label"] * labels, input_spec=plain_spec(shape), arithmetic=ARITHMETIC
    )


LAYERS = {
    "max pooling": (nn.MaxPool2d(2), "MaxPool2d"),
    "sigmoid": (nn.Sigmoid(), "Sigmoid"),
    "gelu": (nn.GELU(), "GELU"),
    "layer norm": (nn.LayerNorm(6), "LayerNorm"),
    "transposed": (nn.ConvTranspose2d(2, 2, 2), "ConvTranspose2d"),
    "embedding": (nn.Embedding(3, 3), "Embedding"),
    "groups": (nn.Conv2d(2, 2, 3, groups=2), "Conv2d.*groups=2"),
    "dilation": (nn.Conv2d(2, 2, 2, dilation=2), "Conv2d.*dilation"),
    "padding mode": (nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect"), "Conv2d.*padding_mode"),
    "even same": (nn.Conv2d(2, 2, 2, padding="same"), "Conv2d.*same"),
    "channels": (nn.Conv2d(3, 2, 2), "Conv2d.*weight has shape"),
    "kernel too large": (nn.Conv2d(2, 2, 7), "Conv2d.*does not fit"),
    "ceil mode": (nn.AvgPool2d(4, ceil_mode=True), "AvgPool2d.*ceil_mode"),
    "pad not counted": (nn.AvgPool2d(2, padding=1, count_include_pad=False), "AvgPool2d.*count_include_pad"),
    "no statistics": (nn.BatchNorm2d(2, track_running_stats=False), "BatchNorm2d.*running statistics"),
    "wrong rank": (nn.BatchNorm1d(2), "BatchNorm1d.*dimension"),
    "norm channels": (nn.BatchNorm2d(3), "BatchNorm2d.*3 channels"),
    "linear on image": (nn.Linear(6, 2), "Linear.*put Flatten before it"),
    "partial flatten": (nn.Flatten(2), "Flatten.*dimensions 2 to -1"),
    "hooks": (hooked(), "Linear.*hooks"),
    "lazy": (nn.LazyConv2d(2, 2), "LazyConv2d"),
    "parametrised": (nn.utils.parametrizations.weight_norm(nn.Conv2d(2, 2, 2)), "Parametrized"),
}


@pytest.mark.parametrize("layer", LAYERS)
def test_package__unsupported_layer__is_named(layer):
    module, words = LAYERS[layer]
    network = nn.Sequential()
    network.add_module("features", nn.Sequential(nn.Identity(), module))
    network.add_module("head", nn.Flatten())
    with pytest.raises(UnsupportedLayer, match=rf"'features\.1' \(.*{words}") as refusal:
        pack(network)
    assert isinstance(refusal.value, CloisterError)
    assert refusal.value.hint.startswith("Supported: Linear, Conv2d")


def _shared_relu(self, x):
    y = self.one(x)
    return self.act(y) + y


def _shared_view(self, x):
    y = self.one(x)
    return self.act(torch.flatten(y, 1)) + torch.flatten(y, 1)


def _shared_addition(self, x):
    y = self.one(x)
    z = y
    z += self.one(x)
    return z + y


def _shared_functional(self, x):
    y = self.one(x)
    return functional.relu(y, inplace=True) + y


OPERATIONS = {
    "scale": (lambda self, x: x.flatten(1) * 2, "'mul'"),
    "constant": (lambda self, x: x + 1.0, "'add'.*one tensor"),
    "alpha": (lambda self, x: torch.add(x, x, alpha=2), "'add'.*no options"),
    "max": (lambda self, x: torch.maximum(x, x), "'maximum'"),
    "view": (lambda self, x: x.view(1, -1), "'view'"),
    "flatten the batch": (lambda self, x: torch.flatten(x), "'flatten'.*dimensions 0 to -1"),
    "broadcast": (lambda self, x: x + self.one(x), "'add'.*broadcasting"),
    "functional conv": (lambda self, x: functional.conv2d(x, self.one.weight), "parameter directly"),
    "branch": (lambda self, x: x if x.sum() > 0 else -x, "cannot be read"),
    "unused": (lambda self, x: (self.one(x), x)[1], "'one'.*never used"),
    "shared in place": (_shared_relu, "in place"),
    "shared through a view": (_shared_view, "in place"),
    "shared addition": (_shared_addition, "in place"),
    "shared functional": (_shared_functional, "in place"),
    "tuple": (lambda self, x: (x, x), "one tensor"),
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_package__unsupported_operation__is_named(operation):
    forward, words = OPERATIONS[operation]
    network = Forward(forward, one=nn.Conv2d(2, 1, 1), act=nn.ReLU(inplace=True))
    with pytest.raises(UnsupportedLayer, match=words):
        pack(network)


def test_torch__shared_in_place__changes_the_operand_too():
    """The refusals above are not pedantry: PyTorch computes something else than the graph says."""
    layers = {"one": nn.Conv2d(2, 1, 1), "act": nn.ReLU(inplace=True)}
    with torch.no_grad():
        x = torch.randn(1, *IMAGE)
        y = layers["one"](x)
        assert torch.equal(Forward(_shared_relu, **layers)(x), 2 * y.relu())
        assert torch.equal(Forward(_shared_addition, **layers)(x), 4 * y)


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (TwoInputs(), "more than one input"),
        (nn.Sequential(nn.Flatten(), MyLinear(72, 2)), "cannot be packaged"),
        (nn.Sequential(nn.Flatten(), nan_weights()), "'1'.*Linear.*NaN"),
        (nn.Sequential(nn.Conv2d(2, 2, 3), nn.Conv2d(2, 2, 3)), "'1'.*follows '0' without a ReLU"),
        (nn.Sequential(nn.Flatten(), nn.Linear(5, 2)), "'1'.*weight has shape"),
    ],
)
def test_package__unsupported_network__is_refused(network, words):
    with pytest.raises(UnsupportedLayer, match=words):
        pack(network)


def test_package__flatten_at_the_end__keeps_rows_and_columns_in_the_block():
    stages = make_package("flatten_before_relu").manifest.stages
    assert stages[0].shape == (2, 3, 4)
    assert [type(step) for step in stages[1].terms[0].maps] == [Flatten, Dense]


def test_package__average_before_linear__becomes_public_sum_and_smaller_weights():
    made = make_package("pool_before_linear")
    pool, flatten, dense = made.manifest.stages[1].terms[0].maps
    assert [type(step) for step in (pool, flatten, dense)] == [SumPool, Flatten, Dense]
    assert abs(made.tensor(dense.weight)).max() <= 4096 / 4 / 12**0.5 + 1


def test_package__average_after_conv__scales_its_weights():
    made = make_package("pool_after_conv")
    conv, pool = made.manifest.stages[0].terms[0].maps
    assert [type(step) for step in (conv, pool)] == [Conv2d, SumPool]
    assert abs(made.tensor(conv.weight)).max() <= 4096 / 4 / 18**0.5 + 1


def test_package__residual__is_a_public_identity():
    stage = make_package("residual_identity").manifest.stages[1]
    body, shortcut = stage.terms
    assert (shortcut.source, shortcut.maps, shortcut.coefficient) == (1, (), 2**ARITHMETIC.s)
    assert body.source == 1
    assert stage.layers == ("2.body",)


def test_package__pooled_residual__is_a_public_sum():
    shortcut = make_package("residual_pooled_shortcut").manifest.stages[0].terms[1]
    assert [type(step) for step in shortcut.maps] == [SumPool]
    assert shortcut.coefficient == round(2**ARITHMETIC.s / 9)


@pytest.mark.parametrize(
    ("architecture", "shape"),
    [("conv_batch_norm", (3,)), ("batch_norm_before_padded_conv", (3, 5, 6)), ("global_pool", (4,))],
)
def test_package__bias__has_an_entry_per_pixel_only_where_pixels_differ(architecture, shape):
    assert make_package(architecture).tensor("stage1.bias").shape == shape


@pytest.mark.parametrize("architecture", NETWORKS)
def test_package__any_network__is_reproducible_and_leaves_the_module_alone(architecture):
    assert make_package(architecture, 2).manifest_bytes == make_package(architecture, 2).manifest_bytes


def test_package__training_mode__is_packaged_as_evaluation_without_a_change():
    network = nn.Sequential(nn.Flatten(), nn.Linear(72, 2), nn.BatchNorm1d(2), nn.Dropout()).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    pack(network)
    assert network.training
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_package__forward_that_asks_for_the_mode__is_read_in_evaluation():
    network = Forward(lambda self, x: self.no(x) if self.training else self.yes(x), no=nn.GELU(), yes=nn.Flatten())
    assert pack(network.train(), labels=72).manifest.stages[0].terms[0].coefficient == 4096


def test_package__salt_left_out__digests_differ_each_time():
    network = nn.Sequential(nn.Flatten(), nn.Linear(72, 2))
    first, second = pack(network), pack(network)
    assert first.manifest.tensors != second.manifest.tensors
    assert (first.tensor("stage1.bias") == second.tensor("stage1.bias")).all()


def test_package__wrong_number_of_labels__is_refused():
    with pytest.raises(InvalidPackage, match="3 labels for 2 outputs"):
        pack(nn.Sequential(nn.Flatten(), nn.Linear(72, 2)), labels=3)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"low": (5,), "high": (4,)}, "ordered"),
        ({"low": (-5000,)}, "inside"),
        ({"high": (4096,)}, "inside"),
        ({"scale": ("0",)}, "positive"),
        ({"scale": ("-1",)}, "positive"),
        ({"mean": ("0", "0")}, "1 or 4"),
    ],
)
def test_package__unusable_input_declaration__is_refused(changes, words):
    fields = {"shape": (4,), "mean": ("0",), "scale": ("1",), "low": (-5,), "high": (5,), **changes}
    with pytest.raises(InvalidModelInput, match=words):
        package_model(nn.Linear(4, 1), name="x", labels=["y"], input_spec=InputSpec(**fields), arithmetic=ARITHMETIC)


def test_residual__without_shortcut__is_traced_through_user_modules():
    network = nn.Sequential(Residual(nn.Conv2d(2, 2, 1)), nn.Flatten())
    assert [len(stage.terms) for stage in pack(network, labels=72).manifest.stages] == [2, 1]
