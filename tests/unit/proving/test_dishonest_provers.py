"""One dishonest prover for every lie: docs/spec/proofs.md, section 10.

For each the statement is false (or the prover says what it cannot know), exactly the expected claims are wrong, the
whole proof would hold if the verifier let the claims add up to something else, and the verifier refuses it.
"""

import dataclasses
import os
import random

import pytest
from reference.matrix_circuit import Window
from reference.matrix_networks import run as run_layers
from reference.matrix_proof import Refused
from reference.matrix_proof import verify as reference_verify
from scenes import (
    IMAGE,
    KINDS,
    MLP,
    MLP_CIRCUIT,
    RANGE,
    dense,
    fast_proof,
    filled,
    random_scene,
    repaired,
    tiny,
    tiny_range,
    vector,
)
from support.dishonest import (
    BalancedBits,
    FalseA1,
    FalseInverse,
    HalfBit,
    HiddenInput,
    HiddenNeuron,
    HiddenOutput,
    LateCommitments,
    LateRound,
    LateS,
    LateValues,
    LateW,
    Linear,
    MaskWithSum,
    MovedBits,
    OtherBias,
    OtherCircuit,
    OtherCommitment,
    OtherEntries,
    OtherInputs,
    OtherModel,
    OtherOutputs,
    OtherValues,
    OtherWeights,
    OtherZ,
    Placed,
    TopBitTwo,
    WrongActivation,
    lie,
)
from support.plain_prover import Prover, R, Scene

from cloister.proving import InvalidProof, verify

G_IN, G_HID, BIAS, X_HAT, Y_HAT, G = range(1, 7)  # claims B+1 to B+6

# ---------------------------------------------------------------- honest

HONEST = {
    "n = 1, public": tiny(1, 0, 0, 0),
    "n = 2": tiny(2),
    "n = 3, two chunks of bits": tiny(3, 0, 1, 2, 17),
    "n = 3, four instances": tiny(1, 2, 1, 1),
    **{f"mlp {i} {o}": MLP.given(input_kind=i, output_kind=o) for i, o in KINDS},
    "image": IMAGE,
    "range": RANGE,
    "one variable": tiny(1),
    "two instances of one variable": tiny(1, 1),
    "range of two numbers": tiny_range(),
    **{f"random {seed}": random_scene(seed) for seed in range(6)},
    "junk in every padding": MLP.given(padding=9, weights=filled(MLP_CIRCUIT, 5, 6, 100, padding=77)),
}


@pytest.mark.parametrize("name", HONEST)
def test_verify__plain_prover_without_a_lie__accepted_and_byte_for_byte_the_fast_prover(name):
    prover = Prover(HONEST[name], seeded())
    run = prover.run()
    assert not run.wrong
    assert run.holds(run.total)
    verify(run.proof, run.context)
    assert fast_proof(prover, seeded()) == run.proof


def seeded():
    rng = random.Random(7)
    return lambda: rng.randrange(R)


@pytest.mark.parametrize("name", ["mlp 0 2", "range of two numbers"])
def test_reference_verify__plain_prover_without_a_lie__accepted(name):
    reference(Prover(HONEST[name]).run())


def test_scenes__rows__have_both_signs_everywhere():
    """Otherwise a lie about ReLU could be no lie."""
    z = Prover(MLP).z
    for block in MLP_CIRCUIT.blocks:
        values = [z[start + block.offset + i] for start in (0, 16) for i in range(3)]
        assert min(values) < -8
        assert max(values) > 8


# ---------------------------------------------------------------- lies


@dataclasses.dataclass
class Lie:
    scene: Scene
    prover: object
    wrong: set[int]
    """Claims B + j that are false."""
    bits: tuple[int, ...] = ()
    """Claims 1 + k that are false."""
    false: bool = True
    """Whether the statement is."""


# MLP: rows 0..2 input, 4..6 hidden, 8..10 output, 16 more for the second instance; W: 4·out + in, 16 + 4·out + in.
SIGMA_UNIT = 2**MLP_CIRCUIT.sigma
S_UNIT = 2**MLP_CIRCUIT.s
OUT = 9


def with_circuit(scene, **changes):
    return dataclasses.replace(scene.circuit, **changes)


def with_stage(circuit, number, **changes):
    stages = list(circuit.stages)
    stages[number - 1] = dataclasses.replace(stages[number - 1], **changes)
    return dataclasses.replace(circuit, stages=stages)


def with_term(circuit, number, index, **changes):
    terms = list(circuit.stages[number - 1].terms)
    terms[index] = dataclasses.replace(terms[index], **changes)
    return with_stage(circuit, number, terms=terms)


def with_first_input(value, **kinds):
    (_, *rest), *rows = MLP.inputs
    return MLP.given(inputs=((value, *rest), *map(tuple, rows)), **kinds)


def with_weight(value):
    return RANGE.given(inputs=((value, *RANGE.inputs[0][1:]),))


def with_weights(scene, changes):
    return scene.given(weights=tuple(changes.get(at, value) for at, value in enumerate(scene.weights)))


def plus_one(at):
    return lambda outputs: [value + (i == at) for i, value in enumerate(outputs)]


def swapped(rows):
    return rows[::-1]


TENTH = 10 * pow(SIGMA_UNIT, -1, R) % R  # an input whose z is 10: no multiple of 2^σ
ROUND = Window((2, 2), (2, 2), (1, 1))  # as large as (2, 2), (1, 1), (0, 0) on 3 x 3
IMAGE_OUT = IMAGE.circuit.blocks[3].offset

LIES = {
    # ---- the linear map
    "one weight of the first layer": Lie(MLP, lie(OtherWeights, changes={0: 4}), {G_IN}),
    "one weight of the last layer": Lie(MLP, lie(OtherWeights, changes={16: 4, 17: 4}), {G_HID}),
    "one bias of the first layer": Lie(MLP, lie(OtherWeights, changes={32: 64}), {BIAS}),
    "one bias of the last layer": Lie(MLP, lie(OtherWeights, changes={42: 8}), {BIAS}),
    "the high digit of a bias": Lie(
        with_weights(IMAGE, {52: -(2**15), 53: 1}), lie(OtherWeights, changes={53: -1}), {BIAS}
    ),
    "one weight of a convolution": Lie(IMAGE, lie(OtherWeights, changes={64: 1}), {G_HID}),
    "one bias of one entry": Lie(IMAGE, lie(OtherWeights, changes={32: 640}), {BIAS}),
    "another model": Lie(
        MLP, lie(OtherModel, weights=filled(MLP_CIRCUIT, 8, 6, 100)), {G_IN, G_HID, BIAS}
    ),
    "a kernel that differs in one place": Lie(IMAGE, lie(OtherEntries, added=[(32, 0, 9)], of_input=True), {G_IN}),
    "a residual that is missing in one entry": Lie(
        IMAGE, lie(OtherEntries, added=[(40, 32, -3)], of_input=False), {G_HID}
    ),
    "a shortcut's pool with one place too few": Lie(
        IMAGE, lie(OtherEntries, added=[(40, 0, -2), (44, 16, -2)], of_input=True), {G_IN}
    ),
    "a map that reads a later block": Lie(MLP, lie(OtherEntries, added=[(10, 8, 2)], of_input=False), {G_HID}),
    "a map that reads another instance's block": Lie(MLP, lie(OtherInputs, change_inputs=swapped), {X_HAT}),
    "a residual's coefficient": Lie(
        IMAGE, lie(OtherCircuit, other=with_term(IMAGE.circuit, 2, 1, coefficient=5)), {G_HID}
    ),
    "a shortcut's coefficient": Lie(
        IMAGE, lie(OtherCircuit, other=with_term(IMAGE.circuit, 2, 2, coefficient=-2)), {G_IN}
    ),
    "a pool's stride and padding": Lie(
        IMAGE, lie(OtherCircuit, other=with_term(IMAGE.circuit, 2, 2, before=[ROUND])), {G_IN}
    ),
    "a convolution's stride and padding": Lie(
        IMAGE, lie(OtherCircuit, other=with_term(IMAGE.circuit, 1, 0, window=ROUND)), {G_IN}
    ),
    "no pool before the dense map": Lie(
        IMAGE,
        lie(OtherCircuit, other=with_term(IMAGE.circuit, 3, 0, before=[Window((1, 1), (2, 2), (0, 0))])),
        {G_HID},
    ),
    "another kind of bias": Lie(IMAGE, lie(OtherCircuit, other=with_stage(IMAGE.circuit, 2, bias_kind=0)), {BIAS}),
    "weights from elsewhere": Lie(
        MLP, lie(OtherCircuit, other=with_stage(MLP_CIRCUIT, 2, terms=[dense(1, 0)])), {G_HID}
    ),
    "another source": Lie(
        MLP, lie(OtherCircuit, other=with_stage(MLP_CIRCUIT, 2, terms=[dense(0, 16)])), {G_IN, G_HID}
    ),
    "another shift": Lie(MLP, lie(OtherCircuit, other=with_circuit(MLP, s=2)), {G}),
    "another input width": Lie(MLP, lie(OtherCircuit, other=with_circuit(MLP, t=6)), {G}, false=False),
    "a bias on an input row": Lie(MLP, lie(OtherBias, added_bias={1: -20 * SIGMA_UNIT}), {BIAS}),
    "a bias on a padding row": Lie(MLP, lie(OtherBias, added_bias={7: 64}), {BIAS}, false=False),
    # ---- the padding
    "a neuron in the padding of W": Lie(
        with_weights(MLP, {12: 6, 13: 5, 19: 8, 23: -8, 38: 500}),
        lie(HiddenNeuron, position=7, neuron_bias=500, reads={0: 6, 1: 5}, read_by={8: 8, 9: -8}),
        {G_IN, G_HID, BIAS},
    ),
    "a neuron in the padding of W, its bias unread": Lie(
        with_weights(MLP, {12: 40, 13: -20, 19: 8, 23: -8}),
        lie(HiddenNeuron, position=7, neuron_bias=0, reads={0: 40, 1: -20}, read_by={8: 8, 9: -8}),
        {G_IN, G_HID},
    ),
    "a neuron in no block": Lie(
        MLP, lie(HiddenNeuron, position=12, neuron_bias=640, reads={}, read_by={8: 1}), {G_HID, BIAS}
    ),
    "a neuron in the padding of X": Lie(
        with_weights(MLP.given(padding=20), {3: 15, 7: 15}), lie(HiddenInput, entry=(4, 3, 15)), {G_IN, X_HAT}
    ),
    "a number in the padding of X that nothing reads": Lie(
        MLP.given(padding=20), lie(HiddenInput, entry=(4, 3, 0)), {X_HAT}, false=False
    ),
    "a number in the padding of Y": Lie(
        MLP.given(padding=3), lie(HiddenOutput, added_bias={11: 3 * S_UNIT}), {BIAS, Y_HAT}, false=False
    ),
    # ---- bits
    "a bit that is two, below the shift of a hidden row": Lie(MLP, lie(MovedBits, row=4, k=2, c=-9), {G}),
    "a bit that is two, below the shift of an output": Lie(MLP, lie(MovedBits, row=8, k=2, c=1), {G}),
    "a top bit that lets a negative number pass": Lie(MLP, lie(MovedBits, row=5, k=10, c=-1), {G}),
    "a top bit that holds a positive number back": Lie(MLP, lie(MovedBits, row=4, k=10, c=1), {G}),
    "a bit that is two, below an input": Lie(
        MLP, lie(MovedBits, row=0, k=MLP_CIRCUIT.sigma - 1, c=31), {G}
    ),
    "bits whose squares add up": Lie(MLP, lie(BalancedBits, row=13), {G}, false=False),
    "a wrong z of a hidden row": Lie(MLP, lie(OtherZ, added_z={4: 320}), {G}),
    "a wrong z of an output": Lie(MLP, lie(OtherZ, added_z={OUT: S_UNIT}), {G}),
    "two wrong z that add up": Lie(MLP, lie(OtherZ, added_z={8: S_UNIT, 9: -S_UNIT}), {G}),
    "a z in no block": Lie(MLP, lie(OtherZ, added_z={12: 64}), {G}, false=False),
    "a z of an image's output": Lie(IMAGE, lie(OtherZ, added_z={IMAGE_OUT: S_UNIT}), {G}),
    # ---- activations
    "one wrong activation": Lie(MLP, lie(WrongActivation, added_activation={4: 9}), {G}),
    "two wrong activations that add up": Lie(MLP, lie(WrongActivation, added_activation={4: 9, 6: -9}), {G}),
    "no ReLU": Lie(MLP, lambda scene: Linear(scene, added_activation={}), {G}),
    # ---- outputs
    **{
        f"an output off by one, {kind}": Lie(
            MLP.given(output_kind=number), lie(OtherOutputs, change=plus_one(1)), {G}
        )
        for number, kind in enumerate(("public", "committed", "masked"))
    },
    **{
        f"an output off by one in its bits too, {kind}": Lie(
            MLP.given(output_kind=number), lie(OtherZ, added_z={OUT: -S_UNIT}), {G}
        )
        for number, kind in enumerate(("public", "committed", "masked"))
    },
    **{
        f"outputs shifted against each other, {kind}": Lie(
            MLP.given(output_kind=number),
            lie(OtherOutputs, change=lambda y: [y[0] + 1, *y[1:3], y[3] - 1, *y[4:]]),
            {G},
        )
        for number, kind in enumerate(("public", "committed", "masked"))
    },
    **{
        f"{kind} off by one": Lie(MLP.given(output_kind=number), lie(OtherCommitment, change=plus_one(1)), {Y_HAT})
        for number, kind in ((1, "a committed output"), (2, "a pad"))
    },
    **{
        f"{kind} shifted against another": Lie(
            MLP.given(output_kind=number),
            lie(OtherCommitment, change=lambda y: [y[0] + 1, *y[1:3], y[3] - 1, *y[4:]]),
            {Y_HAT},
        )
        for number, kind in ((1, "a committed output"), (2, "a pad"))
    },
    **{
        f"a wrong z and a wrong output that add up, {kind}": Lie(
            MLP.given(output_kind=number),
            lie(OtherOutputs, added_z={8: S_UNIT}, change=lambda y: [y[0] - 8, *y[1:]]),
            {G},
        )
        for number, kind in enumerate(("public", "committed", "masked"))
    },
    "outputs of two instances swapped": Lie(MLP, lie(OtherOutputs, change=lambda y: y[3:] + y[:3]), {G}),
    "an output of an image off by one": Lie(IMAGE, lie(OtherOutputs, change=plus_one(0)), {G}),
    # ---- inputs
    "inputs of two instances swapped, committed": Lie(MLP, lie(OtherInputs, change_inputs=swapped), {X_HAT}),
    "inputs of two instances swapped, public": Lie(
        MLP.given(input_kind=0), lie(OtherInputs, change_inputs=swapped), {G}
    ),
    "another input, committed": Lie(
        MLP, lie(OtherInputs, change_inputs=lambda rows: [[-20, *rows[0][1:]], *rows[1:]]), {X_HAT}
    ),
    "another input, public": Lie(
        MLP.given(input_kind=0),
        lie(OtherInputs, change_inputs=lambda rows: [[-20, *rows[0][1:]], *rows[1:]]),
        {G},
    ),
    "an input too large, wrapped": Lie(with_first_input(32), lie(OtherZ, added_z={}), {G}),
    "an input too large, its top bit two": Lie(with_first_input(32), lie(TopBitTwo), {G}),
    "an input too small, wrapped": Lie(with_first_input(-33), lie(OtherZ, added_z={}), {G}),
    "an input too small, its top bit -1": Lie(with_first_input(-33), lie(TopBitTwo), {G}),
    "an input that is no integer": Lie(with_first_input(TENTH), lie(OtherZ, added_z={}), {G}),
    "an input with low bits set": Lie(MLP, lie(OtherZ, added_z={0: 5}), {G}, false=False),
    "a z too large, wrapped": Lie(
        with_weights(MLP, {40: 2047}), lie(OtherZ, added_z={}), {G}
    ),
    "a z too large, its top bit two": Lie(with_weights(MLP, {40: 2047}), lie(TopBitTwo), {G}),
    # ---- values and masks
    "a bit's value changed after the fact": Lie(MLP, lie(OtherValues, added_values={"b_3": 1}), {G}, (3,), false=False),
    **{
        f"{name} changed after the fact": Lie(
            MLP, lie(OtherValues, added_values={name: 1}), {claim, G}, false=False
        )
        for claim, name in enumerate(("G_in", "G_hid", "bias", "x", "y"), start=1)
    },
    "two values changed that make up for each other in F": Lie(
        MLP, lie(OtherValues, added_values={"bias": SIGMA_UNIT, "x": -1}), {BIAS, X_HAT}, false=False
    ),
    **{
        f"what is wrong is put into {name}": Lie(MLP, lie(Placed, added_z={OUT: S_UNIT}, names=[name]), {claim})
        for claim, name in enumerate(("G_in", "G_hid", "bias", "x", "y"), start=1)
    },
    "what is wrong is put into a bit's value": Lie(
        MLP, lie(Placed, added_z={OUT: S_UNIT}, names=[f"b_{k}" for k in range(12)]), set(), (-1,)
    ),
    "a mask with a sum": Lie(MLP, lie(MaskWithSum, added_z={OUT: S_UNIT}), {G}),
    # ---- weights are integers
    "a weight of 2^15, wrapped": Lie(with_weight(2**15), lie(OtherZ, added_z={}), {G}),
    "a weight of 2^15, its top bit two": Lie(with_weight(2**15), lie(TopBitTwo), {G}),
    "a weight of 2^15, taken for less": Lie(
        with_weight(2**15), lie(OtherInputs, change_inputs=lambda rows: [[2**15 - 1, *rows[0][1:]]]), {X_HAT}
    ),
    "a weight of -2^15 - 1, wrapped": Lie(with_weight(-(2**15) - 1), lie(OtherZ, added_z={}), {G}),
    "a weight of -2^15 - 1, its top bit -1": Lie(with_weight(-(2**15) - 1), lie(TopBitTwo), {G}),
    "a weight of one half": Lie(with_weight(pow(2, -1, R)), lie(HalfBit), {G}),
    "a weight of one half, taken for 0": Lie(
        with_weight(pow(2, -1, R)), lie(OtherInputs, change_inputs=lambda rows: [[0, *rows[0][1:]]]), {X_HAT}
    ),
}  # fmt: skip


TRUTHS = {}


def truth(scene):
    """The outputs that C_W and the inputs have, or None where the statement cannot be true."""
    key = (scene.descriptor, scene.weights, scene.inputs)
    if key not in TRUTHS:
        TRUTHS[key] = outputs_of(scene)
    return TRUTHS[key]


def outputs_of(scene):
    t = scene.circuit.t
    if not all(-(2**t) <= value < 2**t for row in scene.inputs for value in row):
        return None
    try:
        return [y for row in scene.inputs for y in run_layers(scene.circuit, list(scene.weights), list(row))[1]]
    except OverflowError:
        return None


@pytest.mark.parametrize("name", LIES)
def test_verify__lie__refused_for_that_lie_alone(name):
    told = LIES[name]
    prover = told.prover(told.scene)
    run = prover.run()
    if told.false:
        assert truth(told.scene) is None or prover.results != truth(told.scene)
    b = prover.circuit.B
    bits = [int(prover.placed[2:])] if told.bits == (-1,) else told.bits
    assert set(run.wrong) == {b + j for j in told.wrong} | {k + 1 for k in bits}
    assert run.holds(run.truth), "the prover made a mistake besides"
    assert not run.holds(run.total)
    with pytest.raises(InvalidProof, match="does not hold"):
        verify(run.proof, run.context)


def test_verify__a1_chosen_for_the_second_evaluation__refused():
    run = FalseA1(MLP, added_z={OUT: S_UNIT}).run()
    assert not run.holds(run.total)
    with pytest.raises(InvalidProof, match="does not hold"):
        verify(run.proof, run.context)


def test_verify__another_number_in_place_of_1_over_z__holds_with_it_and_is_refused():
    """PROOF-5: otherwise A and E may be opened at any two points, and one of them chosen after z."""
    prover = FalseInverse(tiny_range().given(inputs=((8, 0),)), added_z={})
    run = prover.run()
    assert set(run.wrong) == {prover.circuit.B + G}
    assert run.inverse * run.challenges[0] % R != 1
    assert run.holds(run.total)
    with pytest.raises(InvalidProof, match="1/z"):
        verify(run.proof, run.context)
    with pytest.raises(Refused, match="1/z"):
        reference(run)


LATE = {
    "commitments": lie(LateCommitments, added_z={OUT: S_UNIT}, spare=14),
    "a round": lie(LateRound, added_z={OUT: S_UNIT}),
    "values": lie(LateValues, added_z={OUT: S_UNIT}),
    "S": lie(LateS, added_z={OUT: S_UNIT}),
    "w": lie(LateW, added_z={OUT: S_UNIT}),
}


@pytest.mark.parametrize("name", LATE)
def test_verify__message_chosen_after_its_challenge__holds_under_that_challenge_and_is_refused(name):
    """Why no value may be sent after its weight was drawn."""
    prover = LATE[name](MLP)
    run = prover.run()
    assert prover.results != truth(MLP)
    assert run.holds(run.total)
    with pytest.raises(InvalidProof, match="does not hold"):
        verify(repaired(run.proof, run.context), run.context)


# ---------------------------------------------------------------- lies that give no proof file


@pytest.mark.parametrize("value", [32, -33])
def test_verify__public_input_out_of_range__not_even_read(value):
    run = Prover(with_first_input(value, input_kind=0)).run()
    with pytest.raises(InvalidProof, match="outside"):
        verify(run.proof, run.context)


def test_verify__public_output_out_of_range__not_even_read():
    run = OtherOutputs(MLP.given(output_kind=0), change=lambda y: [2**8, *y[1:]]).run()
    with pytest.raises(InvalidProof, match="outside"):
        verify(run.proof, run.context)


# PROOF-1 keeps these out: under such a descriptor the proof of a false statement holds in all the rest.
ITSELF = with_stage(MLP_CIRCUIT, 1, terms=[dense(0, 0), dense(1, 48)])
BEHIND = dataclasses.replace(
    MLP_CIRCUIT, stages=[MLP_CIRCUIT.stages[0], dataclasses.replace(MLP_CIRCUIT.stages[1], terms=[dense(2, 16)])]
)
LOOSE = dataclasses.replace(RANGE.circuit, t=14)
ALIKE = dataclasses.replace(MLP_CIRCUIT, blocks=[vector(3, 0), vector(3, 8), vector(3, 8)])


class Fixpoint(Prover):
    """A hidden row with weight 1 on itself and bias -8·c: any activation is right."""

    def forward(self):
        z = [0] * 2**self.n
        for start in (0, 16):
            for position in range(3):
                z[start + position] = 2**self.circuit.sigma * self.x[start + position]
            for position in (4, 5, 6):
                z[start + position] = 8 * 10
            for position in (8, 9, 10):
                sums = (value * 10 for row, column, value in self.matrix[False] if row == position)
                z[start + position] = self.bias[position] + sum(sums)
        return z


def fixpoint():
    """A stage that reads itself: z = 8·a, whatever a is."""
    weights = [0] * 128
    for i in range(3):
        weights[48 + 4 * i + i] = 8
        weights[16 + 4 * i + i] = 4
    return Fixpoint(Scene(ITSELF, tuple(weights), MLP.inputs))


def low_bits():
    """No stages, and an input row has low bits that no claim holds down: one half is a 16-bit integer."""
    return Prover(RANGE.given(circuit=LOOSE, inputs=((pow(2, -1, R), *[0] * 127),)))


@pytest.mark.parametrize("make", [fixpoint, low_bits])
def test_verify__proof_under_a_descriptor_that_PROOF_1_forbids__holds_but_for_the_descriptor(make):  # noqa: N802
    prover = make()
    run = prover.run()
    assert not run.wrong
    assert run.holds(run.total)
    with pytest.raises(InvalidProof, match="circuit"):
        verify(run.proof, run.context)
    with pytest.raises(Refused, match="PROOF-1"):
        reference(run)


@pytest.mark.parametrize("circuit", [BEHIND, ALIKE])
def test_verify__descriptor_without_an_order__refused(circuit):
    run = Prover(MLP).run()
    run.statement.descriptor = MLP.given(circuit=circuit).descriptor
    with pytest.raises(InvalidProof, match="circuit"):
        verify(run.proof, run.context)


# ---------------------------------------------------------------- the proof of another statement


def spliced(run, **points):
    run.statement.points = run.statement.points | points
    return run


@pytest.mark.parametrize("vector_name", ["W", "X", "Y"])
def test_verify__commitment_replaced__refused(vector_name):
    """Another model's C_W, another input's C_X, another output's C_Y, under an honest proof."""
    others = Prover(MLP.given(weights=filled(MLP_CIRCUIT, 8, 6, 100), inputs=((1, 2, 3), (4, 5, 6))), seed=1).run()
    run = Prover(MLP).run()
    verify(run.proof, run.context)
    with pytest.raises(InvalidProof, match="does not hold"):
        verify(
            repaired(spliced(run, **{vector_name: others.statement.points[vector_name]}).proof, run.context),
            run.context,
        )


OTHER_DESCRIPTORS = {
    "shift": with_circuit(MLP, s=4),
    "input bits": with_circuit(MLP, t=6),
    "weights elsewhere": with_stage(MLP_CIRCUIT, 2, terms=[dense(1, 0)]),
    "bias elsewhere": with_stage(MLP_CIRCUIT, 2, bias=48),
    "one more term": with_stage(MLP_CIRCUIT, 2, terms=[dense(1, 16), dense(0, 48)]),
}


@pytest.mark.parametrize("name", OTHER_DESCRIPTORS)
def test_verify__descriptor_replaced__refused(name):
    run = Prover(MLP).run()
    run.statement.descriptor = MLP.given(circuit=OTHER_DESCRIPTORS[name]).descriptor
    with pytest.raises(InvalidProof, match="does not hold"):
        verify(repaired(run.proof, run.context), run.context)


def test_verify__context_replaced__refused():
    run = Prover(MLP).run()
    with pytest.raises(InvalidProof, match="does not hold"):
        verify(repaired(run.proof, bytes(32)), bytes(32))


# ---------------------------------------------------------------- the reference refuses them too


def reference(run):
    reference_verify(*run.statement.digests(), run.context, run.proof)


SAMPLE = (
    "a bit that is two, below the shift of an output",
    "an output off by one, masked",
    "an input that is no integer",
    "what is wrong is put into a bit's value",
)  # MATRIX_REFERENCE=all takes them all, some two seconds each


@pytest.mark.parametrize("name", LIES if os.environ.get("MATRIX_REFERENCE") == "all" else SAMPLE)
def test_reference_verify__lie__refused(name):
    with pytest.raises(Refused, match="pairing"):
        reference(LIES[name].prover(LIES[name].scene).run())
