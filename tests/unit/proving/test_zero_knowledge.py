"""What a proof reveals is uniform: the rank of docs/spec/proofs.md, section 6, and PROOF-3.

For fixed challenges, everything revealed is a function of the fresh randomness. Values are affine in the masks c_v, one
by one; given those, everything else is affine in what is left. Both maps have full row rank, up to the relations that
the verifier checks: C_w and C_w' follow from all the rest.

The map is the plain prover's, with commitments replaced by their discrete logarithms under a known τ;
test_dishonest_provers.py holds that prover to the fast one byte by byte.
"""

import random
from itertools import combinations

import pytest
from reference.matrix_claims import C_BITS
from scenes import MLP, fast_proof, fast_statement, fast_witness, tiny, tiny_range
from support.plain_prover import Foreseen, Prover, R, powers_sum

from cloister.proving import commit_model, prove_job, prove_weights, verify
from cloister.proving.prover import prove

KNOWN_TAU = random.Random("tau").randrange(R)
BLINDERS = 4


class Exponents(Prover):
    """Commits in the exponent, under challenges that nothing changes."""

    def __init__(self, scene, randomness, challenges="fixed"):
        self.challenges = challenges
        super().__init__(scene, iter(randomness).__next__)

    def commit(self, coefficients):
        return powers_sum(list(coefficients), KNOWN_TAU)

    def encoded(self, points):
        return b""

    def transcript(self, statement):
        return Foreseen(self.challenges)


class Fresh:
    """Names of everything that one proof of a scene draws, in the order of drawing."""

    def __init__(self, scene):
        shape, b = scene.shape, scene.circuit.B
        low = [f"blinder {i}" for i in range(BLINDERS)]
        masks = ["c_Gin", "c_Ghid", "c_bias", "c_X", "c_Y", *(f"c_{k}" for k in range(b))]
        assert len(low + masks) == C_BITS + b
        rounds = [f"g_{i},{e}" for i, degree in enumerate(shape.degrees) for e in range(1, degree + 1)]
        chunks = [f"bits {t}" for t in range(shape.chunks("bits"))]
        self.names = low + masks + rounds + chunks
        absent = [] if scene.circuit.stages else ["c_Gin", "c_Ghid", "c_bias"]
        absent += [] if shape.input_kind else ["c_X"]
        absent += [] if shape.output_kind else ["c_Y"]
        self.masks = [name for name in masks if name not in absent]
        self.others = low + rounds + chunks


class Revealed:
    """Everything that a proof reveals, as a function of the randomness."""

    def __init__(self, scene, challenges="fixed"):
        self.scene, self.fresh, self.challenges = scene, Fresh(scene), challenges

    def __call__(self, point):
        run = Exponents(self.scene, [point[name] for name in self.fresh.names], self.challenges).run()
        rounds = [a for message in run.rounds for a in message]
        return run.values, [*rounds, *run.first, run.s, run.a1, run.w, run.w_prime]

    def random_point(self, seed):
        rng = random.Random(seed)
        return {name: rng.randrange(R) for name in self.fresh.names}

    def columns(self, names, part, at):
        """The linear part in `names`: one column for each, differences at the point `at`."""
        base = self(at)[part]
        moved = [self(at | {name: (at[name] + 1) % R})[part] for name in names]
        return {
            name: [(b - a) % R for a, b in zip(base, column, strict=True)]
            for name, column in zip(names, moved, strict=True)
        }


def rank(columns):
    """Of a matrix mod r."""
    rows, found = [list(column) for column in columns], 0
    for at in range(len(rows[0]) if rows else 0):
        pivot = next((row for row in rows if row[at]), None)
        if pivot is None:
            continue
        rows.remove(pivot)
        found, factor = found + 1, pow(pivot[at], -1, R)
        rows = [[(x - row[at] * factor * y) % R for x, y in zip(row, pivot, strict=True)] for row in rows]
    return found


SCENES = {
    "n = 1": tiny(1),
    "n = 1, public": tiny(1, 0, 0, 0),
    "n = 1, masked": tiny(1, 0, 1, 2),
    "n = 1, no stages": tiny_range(),
    "n = 2": tiny(2),
    "n = 2, two instances": tiny(1, 1, 1, 2),
    "n = 2, public input": tiny(2, 0, 0, 1),
    "n = 3": tiny(3),
    "n = 3, two chunks of bits": tiny(3, 0, 1, 2, 17),
    "n = 3, four instances": tiny(1, 2, 1, 1),
}


@pytest.fixture(params=SCENES, scope="module")
def revealed(request):
    return Revealed(SCENES[request.param])


def test_values__masks__each_value_has_one_of_its_own(revealed):
    at = revealed.random_point(1)
    columns = revealed.columns(revealed.fresh.masks, 0, at)
    assert len(revealed.fresh.masks) == len(revealed(at)[0])
    assert rank(columns.values()) == len(columns)
    for missing in columns:
        assert rank(column for name, column in columns.items() if name != missing) == len(columns) - 1


def test_values__everything_but_masks__does_not_touch_them(revealed):
    at, other = revealed.random_point(1), revealed.random_point(2)
    masks = {name: at[name] for name in revealed.fresh.masks}
    assert revealed(at)[0] == revealed(other | masks)[0]


def test_rest__given_the_masks__is_affine(revealed):
    first, second, third = (revealed.random_point(seed) for seed in (1, 2, 3))
    masks = {name: first[name] for name in revealed.fresh.masks}
    total = {name: (first[name] + second[name] - third[name]) % R for name in first}
    f = [revealed(point | masks)[1] for point in (first, second, third, total)]
    assert [(a + b - c - d) % R for a, b, c, d in zip(*f, strict=True)] == [0] * len(f[0])


@pytest.mark.parametrize("seed", [1, 2])
def test_rest__given_the_masks__rank_is_full_but_for_the_quotients(revealed, seed):
    other = Revealed(revealed.scene, f"challenges {seed}")
    columns = other.columns(other.fresh.others, 1, other.random_point(seed)).values()
    *_, rows = map(len, columns)
    assert rank(column[:-2] for column in columns) == rows - 2
    assert rank(columns) == rows - 2


def test_quotients__any_randomness__follow_from_all_the_rest(revealed):
    """C_w and C_w' add nothing to what is revealed: anybody who knew τ could make them."""
    at = revealed.random_point(1)
    run = Exponents(revealed.scene, [at[name] for name in revealed.fresh.names]).run()
    z, gamma, omega = run.challenges
    inverse = pow(z, -1, R)
    a = sum(powers_sum(u, inverse) * run.points[t] for t, u in run.u.items()) - z * run.s - run.a1
    e = sum(powers_sum(u, z) * run.points[t] for t, u in run.u.items()) - inverse * run.s - (2 * run.total - run.a1)
    w = a * pow(KNOWN_TAU - z, -1, R) + gamma * e * pow(KNOWN_TAU - inverse, -1, R)
    assert run.w == w % R
    last = (omega - inverse) * a + gamma * (omega - z) * e - (omega - z) * (omega - inverse) * w
    assert run.w_prime == last * pow(KNOWN_TAU - omega, -1, R) % R


def test_rest__less_randomness__rank_is_lower(revealed):
    """The control: every g_{i,e}, every chunk's blinding and three of Mask's low coefficients are needed."""
    columns = revealed.columns(revealed.fresh.others, 1, revealed.random_point(1))
    full, low = rank(columns.values()), revealed.fresh.others[:BLINDERS]
    for missing in columns:
        left = rank(column for name, column in columns.items() if name != missing)
        assert left == (full if missing in low else full - 1)
    for pair in combinations(low, 2):
        assert rank(column for name, column in columns.items() if name not in pair) == full - 1


def test_rank__known_matrices():
    assert rank([]) == 0
    assert rank([[0, 0]]) == 0
    assert rank([[1, 2], [2, 4]]) == 1
    assert rank([[0, 1], [R - 1, 5]]) == 2


# ---------------------------------------------------------------- PROOF-3


def pieces(prover, proof):
    """Everything that the prover sends: points and field elements."""
    data = proof[len(fast_statement(prover).encode()) :]
    points = 128 * (prover.shape.chunks("bits") + 1)
    scalars = data[points : -3 * 128 - 64]
    found = [data[i : i + 128] for i in range(0, points, 128)]
    found += [scalars[i : i + 32] for i in range(0, len(scalars), 32)]
    s, inverse, a1 = data[-3 * 128 - 64 : -2 * 128 - 64], data[-2 * 128 - 64 : -2 * 128 - 32], data[-288:-256]
    return [*found, s, inverse, a1, data[-256:-128], data[-128:]]


@pytest.mark.parametrize("context", [MLP.context, bytes(32)])
def test_prove__same_statement_again__nothing_is_sent_twice(context):
    prover = Prover(MLP)
    again = Prover(MLP.given(context=context))
    one, two = pieces(prover, fast_proof(prover)), pieces(again, fast_proof(again))
    assert len(one) == len(two)
    assert len(set(one + two)) == len(one + two)


def test_prove__mask_and_blindings__drawn_anew_for_every_attempt():
    prover = Prover(MLP)
    statement, witness, drawn = fast_statement(prover), fast_witness(prover), []

    def draw():
        drawn.append(random.Random(len(drawn)).randrange(R))
        return drawn[-1]

    for attempt in (1, 2):
        prove(statement, witness, draw)
        assert len(drawn) == attempt * len(Fresh(MLP).names)


def test_prove_job__same_secret__same_input_and_pad_but_nothing_else():
    """Input and pad follow from the job's secret, so that the requester can commit to them; the proof does not."""
    from random_networks import make_package, random_rows

    package = make_package("mlp", 0)
    model, rows = commit_model(package), random_rows(package, 0, 1)
    one, two = (prove_job(model, rows, bytes(32), b"secret".ljust(32, b".")) for _ in range(2))
    assert (one.masked, one.input_digest, one.pad_digest) == (two.masked, two.input_digest, two.pad_digest)
    start = len(verify(one.proof, bytes(32)).encode())
    first, second = ({job.proof[i : i + 32] for i in range(start, len(job.proof), 32)} for job in (one, two))
    assert not first & second


def test_prove_weights__twice__nothing_is_sent_twice():
    from random_networks import make_package

    model = commit_model(make_package("linear", 0))
    one, two = (prove_weights(model, bytes(32)) for _ in range(2))
    start = len(verify(one, bytes(32)).encode())
    first, second = ({proof[i : i + 32] for i in range(start, len(proof), 32)} for proof in (one, two))
    assert not first & second
