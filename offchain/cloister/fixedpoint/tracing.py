"""Reads a PyTorch module with torch.fx and cuts it into affine stages between ReLUs."""

from __future__ import annotations

import copy
import operator
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional

from cloister.fixedpoint.errors import UnsupportedLayer
from cloister.fixedpoint.graph import BadGraph, Shape
from cloister.fixedpoint.layers import LINEAR_LAYERS, SUPPORTED, flatten
from cloister.fixedpoint.symbolic import Affine

RELU_CALLS = {torch.relu, functional.relu, "relu"}
ADD_CALLS = {operator.add, operator.iadd, torch.add, "add"}
FLATTEN_CALLS = {torch.flatten, "flatten"}
VIEWS = (nn.Identity, nn.Dropout, nn.Dropout2d, nn.Flatten)


def trace_stages(model: nn.Module, input_shape: Shape) -> list[Affine]:
    """The stages of `model` in evaluation mode for one row of `input_shape`; all but the last end in a ReLU.

    Raises UnsupportedLayer, naming the layer and its class, for anything without an exact form.
    """
    if type(model) in LINEAR_LAYERS:
        model = nn.Sequential(model)
    for name, layer in model.named_modules():
        # PyTorch offers no public way to ask.
        if layer._forward_hooks or layer._forward_pre_hooks:  # noqa: SLF001
            raise _unsupported(name, layer, "it carries forward hooks, which can change what it computes")
    try:
        # forward() may ask self.training, so the copy must be in evaluation mode before it is read.
        model = copy.deepcopy(model).eval()
        graph = _Tracer().trace(model)
    except Exception as error:
        # forward() is the caller's code and may raise anything when fed symbolic values.
        raise UnsupportedLayer(
            f"forward() of {_kind(model)} cannot be read: {error}",
            "Avoid branches, loops and sizes that depend on values. " + SUPPORTED,
        ) from error
    return _Cutter(model, input_shape).cut(graph)


class _InPlaceProxy(fx.Proxy):
    """Records `a += b` for what it is; plain torch.fx would read it as a new value and miss that `a` changes."""

    def __iadd__(self, other: Any) -> Any:
        return self.tracer.create_proxy("call_function", operator.iadd, (self, other), {})


class _Tracer(fx.Tracer):
    def proxy(self, node: fx.Node) -> fx.Proxy:
        return _InPlaceProxy(node, self)


class _Cutter:
    """Walks one traced graph, keeping the stages cut so far."""

    def __init__(self, model: nn.Module, input_shape: Shape) -> None:
        self._model = model
        self._input_shape = input_shape
        self._stages: list[Affine] = []

    def cut(self, graph: fx.Graph) -> list[Affine]:
        values: dict[fx.Node, Affine] = {}
        for node in graph.nodes:
            try:
                if not node.users and node.op != "output":
                    raise BadGraph("its result is never used; take it out of forward()")
                match node.op:
                    case "placeholder":
                        if values:
                            raise BadGraph("forward() takes more than one input")
                        values[node] = Affine.of_block(0, self._input_shape)
                    case "call_module":
                        values[node] = self._call_module(node, values)
                    case "call_function" | "call_method":
                        values[node] = self._call(node, values)
                    case "output":
                        return [*self._stages, _operand(node, values, 0).unflattened()]
                    case _:
                        raise BadGraph("forward() reads a parameter directly")
            except BadGraph as reason:
                raise self._refusal(node, str(reason)) from reason
        raise AssertionError("a traced graph ends in its output")

    def _call_module(self, node: fx.Node, values: dict[fx.Node, Affine]) -> Affine:
        layer = self._model.get_submodule(str(node.target))
        x = _operand(node, values, 0)
        if type(layer) is nn.ReLU:
            if layer.inplace:
                self._refuse_shared(node.all_input_nodes[0])
            return self._relu(x, str(node.target))
        rule = LINEAR_LAYERS.get(type(layer))
        if rule is None:
            raise BadGraph("this kind of layer is not supported")
        return rule(x, layer, str(node.target))

    def _call(self, node: fx.Node, values: dict[fx.Node, Affine]) -> Affine:
        if node.target in RELU_CALLS:
            if _option(node, 1, "inplace", False):
                self._refuse_shared(node.all_input_nodes[0])
            return self._relu(_operand(node, values, 0), node.name)
        if node.target in ADD_CALLS:
            if len(node.args) != 2 or node.kwargs:
                raise BadGraph("an addition takes two values and no options")
            if node.target is operator.iadd:
                self._refuse_shared(node.all_input_nodes[0])
            return _operand(node, values, 0).plus(_operand(node, values, 1))
        if node.target in FLATTEN_CALLS:
            start, end = _option(node, 1, "start_dim", 0), _option(node, 2, "end_dim", -1)
            return flatten(_operand(node, values, 0), start, end)
        raise BadGraph("this operation is not supported")

    def _relu(self, x: Affine, name: str) -> Affine:
        stage = x.unflattened()
        self._stages.append(stage.named(name) if not stage.layers else stage)
        block = Affine.of_block(len(self._stages), stage.shape)
        return block if stage.shape == x.shape else block.flattened()

    def _refuse_shared(self, node: fx.Node) -> None:
        """An in-place operation also changes its operand, and whatever the operand is a view of."""
        while True:
            if len(node.users) != 1:
                raise BadGraph("it works in place on a value that is used again; use the out-of-place form")
            is_view = node.target in FLATTEN_CALLS or (
                node.op == "call_module" and isinstance(self._model.get_submodule(str(node.target)), VIEWS)
            )
            if not is_view:
                return
            node = node.all_input_nodes[0]

    def _refusal(self, node: fx.Node, reason: str) -> UnsupportedLayer:
        if node.op == "call_module":
            return _unsupported(str(node.target), self._model.get_submodule(str(node.target)), reason)
        what = getattr(node.target, "__name__", node.target)
        return UnsupportedLayer(f"{what!r} in forward() (node {node.name!r}) cannot be packaged: {reason}.", SUPPORTED)


def _operand(node: fx.Node, values: dict[fx.Node, Affine], index: int) -> Affine:
    operand: Any = node.args[index] if index < len(node.args) else None
    if not isinstance(operand, fx.Node):
        raise BadGraph("every operand must be one tensor computed from the input")
    return values[operand]


def _option(node: fx.Node, position: int, name: str, default: int) -> int:
    value = node.args[position] if position < len(node.args) else node.kwargs.get(name, default)
    if not isinstance(value, int):
        raise BadGraph(f"{name} must be a constant")
    return value


def _unsupported(name: str, layer: nn.Module, reason: str) -> UnsupportedLayer:
    return UnsupportedLayer(f"layer {name!r} ({_kind(layer)}) cannot be packaged: {reason}.", SUPPORTED)


def _kind(layer: nn.Module) -> str:
    return f"{type(layer).__module__}.{type(layer).__qualname__}"
