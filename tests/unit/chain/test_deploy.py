"""Deployments: parameters, files, wiring; on a py-evm chain in this process."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from support.proofs import mock_verifier
from web3 import HTTPProvider, Web3

from cloister.chain import deployment
from cloister.chain.connection import Connection
from cloister.chain.currencies import UNIT, Currencies
from cloister.chain.deploy import deploy
from cloister.chain.deployment import Deployment, DeploymentFailed, DeployParameters, verify
from cloister.chain.errors import ContractError, InsufficientFunds, NonceConflict, WrongChain
from cloister.chain.market import Market
from cloister.chain.models import Models
from cloister.chain.verifiers import Verifiers
from cloister.devnet.accounts import account
from cloister.devnet.pyevm.server import running
from cloister.domain.errors import InvalidInput
from cloister.domain.ids import NOBODY

DEPLOYMENT = Deployment(
    chain_id=31337,
    node_registry="0xCf7Ed3AccA5a467e9e704C703E8D87F634fB0Fc9",
    model_registry="0xe7f1725E7734CE288F8367e1Bb143E90bb3F0512",
    job_market="0xa513E6E4b8f2a923D98304ec87F64353C4D5C853",
    block=1,
    verifier=1,
)


@pytest.fixture(scope="module")
def w3():
    with running(block_time=0.01) as server:
        yield Web3(HTTPProvider(server.url))


@pytest.fixture(scope="module")
def deployed(w3):
    return deploy(w3, account(w3, 0), DeployParameters.devnet(), verifier=mock_verifier())


def test_deploy__on_a_fresh_chain__predicts_the_market_and_wires_everything(w3, deployed):
    assert replace(deployed, block=1) == DEPLOYMENT
    created = w3.eth.get_block(deployed.block, full_transactions=True)["transactions"]
    assert any("to" not in t or t["to"] is None for t in created)
    verify(w3, deployed, DeployParameters.devnet())


def test_deploy__a_second_time__makes_another_market(w3, deployed):
    lines = []
    second = deploy(w3, account(w3, 0), DeployParameters.devnet(), verifier=mock_verifier(), report=lines.append)
    assert second.job_market != deployed.job_market
    contracts = [
        "ProofVerifiers",
        "ModelRegistry",
        "TdxQuoteVerifier",
        "NodeRegistry",
        "Currencies",
        "Disputes",
        "Upkeep",
        "JobMarket",
        "MockVerifier",
    ]
    assert [line.split()[0] for line in lines] == [*contracts, "verifier"]
    assert second.verifier == 1  # each market has a list of its own


def test_deploy__public_defaults__are_accepted_by_the_contracts(w3):
    deploy(w3, account(w3, 1))


def test_deploy__from_an_empty_account__is_refused_before_anything_is_sent(w3):
    poor = w3.eth.account.create()
    with pytest.raises(InsufficientFunds) as caught:
        deploy(w3, poor, DeployParameters.devnet())
    assert poor.address in caught.value.message
    assert w3.eth.get_transaction_count(poor.address) == 0


@pytest.mark.parametrize(
    ("after", "number", "error", "says"),
    [("Upkeep", 2, ContractError, "JobMarket_BadParameters"), ("NodeRegistry", 4, NonceConflict, "nonce")],
)
def test_deploy__when_another_transaction_takes_a_nonce__fails_and_says_so(w3, deployed, after, number, error, says):
    sender = account(w3, number)

    def interfere(line):
        if not line.startswith(after):
            return
        fields = {"chainId": 31337, "nonce": w3.eth.get_transaction_count(sender.address), "to": sender.address}
        fields |= {"value": 0, "gas": 21_000, "maxFeePerGas": 10**11, "maxPriorityFeePerGas": 10**10, "type": 2}
        hash_ = w3.eth.send_raw_transaction(sender.sign_transaction(fields).raw_transaction)
        w3.eth.wait_for_transaction_receipt(hash_, poll_latency=0.01)

    with pytest.raises(error, match=says):
        deploy(w3, sender, DeployParameters.devnet(), report=interfere)


def test_verify__on_another_chain__names_both(w3, deployed):
    with pytest.raises(WrongChain, match=r"serves chain 31337, the deployment is on chain 1\b"):
        verify(w3, replace(deployed, chain_id=1))


def test_deploy__verifier__is_listed_with_the_deployer_as_its_steward(w3, deployed):
    connection = Connection(w3.provider.endpoint_uri)
    verifiers = Verifiers(connection, Models(connection, deployed.model_registry, 0).verifiers())
    (verifier,) = [verifiers.verifier(number) for number in range(1, verifiers.count() + 1)]
    assert verifier.steward == account(w3, 0).address
    assert not verifier.removed
    assert w3.eth.get_code(verifier.address)
    with pytest.raises(ContractError, match="ProofVerifiers_Unknown"):
        verifiers.is_removed(2)


def test_verify__verifier_that_is_not_listed__is_refused(w3, deployed):
    with pytest.raises(DeploymentFailed, match="no verifier 2; 1 are listed"):
        verify(w3, replace(deployed, verifier=2))
    verify(w3, replace(deployed, verifier=None))


def test_verify__without_code__is_refused(w3, deployed):
    with pytest.raises(DeploymentFailed, match="no code"):
        verify(w3, replace(deployed, job_market="0x" + "11" * 20))


def test_verify__registries_of_another_market__are_refused(w3, deployed):
    other = deploy(w3, account(w3, 3), DeployParameters.devnet())
    with pytest.raises(DeploymentFailed, match="node registry"):
        verify(w3, replace(deployed, node_registry=other.node_registry))
    with pytest.raises(DeploymentFailed, match="model registry"):
        verify(w3, replace(deployed, model_registry=other.model_registry))


@pytest.mark.parametrize("name", ["disputes", "upkeep"])
def test_verify__part_of_another_market__is_refused(w3, deployed, monkeypatch, name):  # DEP-4
    fits = DeployParameters.devnet()
    other = replace(fits, market=replace(fits.market, seed_delay=2))
    theirs = deploy(w3, account(w3, 6), other, verifier=mock_verifier()).job_market
    ask = deployment._functions

    def told(w3, contract, address):
        """As if the market's code named a part of another market."""
        if contract == "JobMarket":
            return Told(ask(w3, contract, address), name, ask(w3, contract, theirs))
        return ask(w3, contract, address)

    monkeypatch.setattr(deployment, "_functions", told)
    with pytest.raises(DeploymentFailed, match="part's settings"):
        verify(w3, deployed)


class Told:
    """A contract's functions, one of them another contract's."""

    def __init__(self, own, name, other):
        self._own, self._name, self._other = own, name, other

    def __getattr__(self, name):
        return getattr(self._other if name == self._name else self._own, name)


def test_deploy__steward_of_rates__is_the_deployer_or_who_is_named(w3, deployed):  # CUR-2
    connection = Connection(w3.provider.endpoint_uri)
    currencies = Currencies(connection, Market(connection, deployed.job_market).part("currencies"))
    assert (currencies.steward(), currencies.delay()) == (account(w3, 0).address, 86_400)
    assert currencies.lock_rate(NOBODY) == UNIT
    assert currencies.lock_rate(deployed.job_market) is None
    assert currencies.announcements(0) == []
    fixed = deploy(w3, account(w3, 7), DeployParameters.devnet(), verifier=mock_verifier(), rates_by=NOBODY)
    assert Currencies(connection, Market(connection, fixed.job_market).part("currencies")).steward() == NOBODY


def test_verify__with_other_parameters__is_refused(w3, deployed):
    with pytest.raises(DeploymentFailed, match="epoch length"):
        verify(w3, deployed, replace(DeployParameters.devnet(), epoch_length=65))


def test_parameters__that_the_contracts_would_refuse__are_refused_first():
    fits = DeployParameters.devnet()
    longest = 60 + 2 * 30 + 30 + 20 + 30 + 2 * 180
    with pytest.raises(InvalidInput, match="longest life"):
        replace(fits, exit_delay=longest)
    replace(fits, exit_delay=longest + 1)
    with pytest.raises(InvalidInput, match="epoch length"):
        replace(fits, epoch_length=0)
    with pytest.raises(InvalidInput, match="windows"):
        replace(fits, exit_delay=1 << 32)
    with pytest.raises(InvalidInput, match="a day"):
        replace(fits, rate_delay=86_399)
    with pytest.raises(InvalidInput, match="ten years"):
        replace(fits, rate_delay=3_650 * 86_400 + 1)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"silent_bps": 5_000}, "silentBps"),
        ({"wrong_bps": 10_001}, "silentBps"),
        ({"challenge_window": 0}, "windows"),
        ({"dispute_window": 169}, "referee"),
        ({"dispute_window": 260}, "three lock periods"),  # and the exit delay
        ({"check_bps": 1_000}, "ECON-1"),
        ({"check_bps": 10_001}, "ECON-1"),
        ({"stake_ratio": 9, "check_bps": 10_000}, "ECON-2"),
        ({"stake_ratio": 40_000}, "ECON-3"),
        ({"proof_gas": 1 << 32}, "gas of a proof"),
        ({"proving_fee": 1 << 96}, "proving fee"),
    ],
)
def test_parameters__of_a_market_that_breaks_a_rule__name_it(change, says):  # DEP-3, ECON-1 to ECON-5
    fits = DeployParameters.devnet()
    with pytest.raises(InvalidInput, match=says):
        replace(fits, market=replace(fits.market, **change))


@pytest.mark.parametrize(
    "change", [{"dispute_window": 170}, {"check_bps": 1_001}, {"stake_ratio": 10, "check_bps": 2_001}]
)
def test_parameters__at_the_bound_of_a_rule__are_taken_by_the_contracts_too(w3, change):
    fits = DeployParameters.devnet()
    deploy(w3, account(w3, 5), replace(fits, market=replace(fits.market, **change)), verifier=mock_verifier())


def test_parameters__locks__are_whole_gweis_and_rounded_up():  # JOB-10
    market = DeployParameters.devnet().market
    assert [market.lock_for(price) for price in (1, 50_000_000, 50_000_001)] == [10**9, 10**9, 2 * 10**9]
    assert (market.life, market.longest) == (110, 500)


def test_parameters__public_defaults__remember_stakes_until_the_deadline():
    # DRAW-2: at least one whole epoch lies between a request and the forgetting of its stakes.
    parameters = DeployParameters()
    for block_seconds in (2, 12):
        blocks = parameters.market.seed_delay + parameters.market.deliver_window / block_seconds
        assert blocks < parameters.epoch_length


def test_file__saved_and_loaded__is_the_same(tmp_path):
    path = tmp_path / "new" / "deployment.json"
    DEPLOYMENT.save(path)
    assert Deployment.load(path) == DEPLOYMENT
    names = ["chainId", "nodeRegistry", "modelRegistry", "jobMarket", "block"]
    assert list(json.loads(path.read_text())) == [*names, "verifier"]
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"chainId": "31337"}, "chain_id"),
        ({"block": -1}, "block"),
        ({"block": True}, "block"),
        ({"jobMarket": "0x12"}, "job_market"),
        ({"nodeRegistry": None}, "node_registry"),
        ({"verifier": 0}, "verifier"),
        ({"verifier": "1"}, "verifier"),
        ({"verifier": True}, "verifier"),
    ],
)
def test_file__with_a_wrong_value__names_it(change, what):
    with pytest.raises(InvalidInput, match=what):
        Deployment.from_json(json.dumps(json.loads(DEPLOYMENT.to_json()) | change))


def test_file__without_a_verifier__vouches_for_none():
    plain = replace(DEPLOYMENT, verifier=None)
    assert "verifier" not in json.loads(plain.to_json())
    assert Deployment.from_json(plain.to_json()) == plain


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"chainId": 1}'])
def test_file__that_is_no_deployment__is_refused_with_the_format(text):
    with pytest.raises(InvalidInput, match="no deployment file") as caught:
        Deployment.from_json(text)
    assert "nodeRegistry" in caught.value.hint


def test_file__missing__is_refused_by_name(tmp_path):
    with pytest.raises(InvalidInput, match=r"nothing\.json"):
        Deployment.load(tmp_path / "nothing.json")
