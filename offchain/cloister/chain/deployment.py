"""A deployment: its parameters, the file that names its addresses, and the check that it is what it says."""

from __future__ import annotations

import json
import os
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any, cast

from eth_abi.abi import encode
from eth_hash.auto import keccak
from eth_utils.address import is_address, to_checksum_address
from web3 import Web3

from ..chain.artifacts import artifact
from ..chain.errors import WrongChain, translated
from ..chain.market import GWEI, Parameters
from ..chain.nodes import Limits
from ..domain.errors import CloisterError, InvalidInput
from ..domain.ids import Address

ETHER = 10**18
DAY = 86_400
YEAR = 365 * DAY
BPS = 10_000


class DeploymentFailed(CloisterError):
    """The contracts are not there, or not wired to each other as they must be."""


@dataclass(frozen=True, slots=True)
class DeployParameters:
    """What the constructors take. Nothing of it can be changed later (DEP-2).

    The defaults are for a public chain with blocks every 2 to 12 seconds:

    * seed delay 4 blocks: the usual reorganisations, of one or two blocks, that move the request also move
      its seed block, and the requester has seen the request settle before it draws;
    * windows of 10 minutes: 50 blocks of 12 seconds, so that neither congestion nor a worker's restart costs
      stake;
    * an hour to challenge a result, for requesters that look at it and for outvoted workers, whose proof takes seconds;
      two hours to decide a dispute: a referee's job, which has all of these windows in it, takes 70 minutes at most;
    * 30 minutes to deliver: requesters wait until the seed block is safe (JOB-9), which takes up to 13 minutes on
      Ethereum;
    * stake ratio 20: a worker that answers wrongly loses 10 prices, so that half of what a quorum of wrong ones loses
      pays for all that it costs to find them out, and cheating does not pay where a tenth of the answers is looked at
      (ECON-1, ECON-2); this market counts on a fifth;
    * silence costs a tenth of the lock, a wrong or hidden output half of it: a worker that fails is not
      ruined, and staying silent is always cheaper than lying;
    * fault 10% of the escrow: who requests draws and delivers only those it likes pays for the others;
    * a proof takes a million gas with all around it, and a thousandth of an ether to make; the bond follows base fees
      up to 50 gwei;
    * demand deposit 0.01 ether: pays for 64 KiB of calldata (2.7M gas) up to 3.7 gwei per gas;
    * epochs of 1,800 blocks, 6 hours at 12 seconds, 1 hour at 2: longer than seed delay and deliver window
      together, so that a job's stakes are remembered until its deadline (DRAW-2);
    * exit delay 1 day, 3 times the longest life of a job with all of its disputes (NODE-4);
    * minimum stake 1 ether: filling the stake tree with idle workers is dear;
    * attestations of 7 days: a platform that its vendor finds wanting is out after a week at most, and at once when it
      is revoked; a renewal costs about as much gas as a job;
    * prompt keys of an hour: who steals one can open the inputs of an hour (PROMPT-2). It is more than twice what a job
      needs of it, so that a key is always at hand;
    * 4 workers per machine: one owner of one machine is not a crowd;
    * lock periods of 2 hours: stake comes free so much later than it could last be needed, at most (NODE-5);
    * 7 days between the announcement of a token's rate and its effect: time to stop asking to be paid in it.
    """

    market: Parameters = field(
        default_factory=lambda: Parameters(
            seed_delay=4,
            deliver_window=1_800,
            commit_window=600,
            reveal_window=600,
            publish_window=600,
            challenge_window=3_600,
            dispute_window=7_200,
            stake_ratio=20,
            silent_bps=1_000,
            wrong_bps=5_000,
            fault_bps=1_000,
            check_bps=2_000,
            demand_deposit=ETHER // 100,
            proof_gas=1_000_000,
            max_base_fee=50 * GWEI,
            proving_fee=ETHER // 1_000,
        )
    )
    epoch_length: int = 1_800
    """Blocks."""
    exit_delay: int = DAY
    """Seconds."""
    minimum_stake: int = ETHER
    """Wei."""
    limits: Limits = field(default_factory=lambda: Limits(7 * DAY, 3_600, 4, 7_200))
    rate_delay: int = 7 * DAY
    """Seconds."""

    @classmethod
    def devnet(cls) -> DeployParameters:
        """For a chain with a block per second that people watch: every window short enough to wait for."""
        return cls(
            market=Parameters(
                seed_delay=1,
                deliver_window=60,
                commit_window=30,
                reveal_window=20,
                publish_window=30,
                challenge_window=30,
                dispute_window=180,
                stake_ratio=20,
                silent_bps=1_000,
                wrong_bps=5_000,
                fault_bps=1_000,
                check_bps=2_000,
                demand_deposit=ETHER // 100,
                proof_gas=1_000_000,
                max_base_fee=50 * GWEI,
                proving_fee=ETHER // 1_000,
            ),
            epoch_length=64,
            exit_delay=600,
            minimum_stake=ETHER,
            limits=Limits(attestation_period=3_600, prompt_lifetime=600, identities_per_platform=4, lock_period=180),
            rate_delay=DAY,
        )

    def __post_init__(self) -> None:
        if broken := [rule for rule, holds in self._rules().items() if not holds]:
            raise InvalidInput(f"These parameters break rules of the contracts: {'; '.join(broken)}.")

    def _rules(self) -> dict[str, bool]:
        m, limits = self.market, self.limits
        windows = (m.deliver_window, m.commit_window, m.reveal_window, m.publish_window, m.challenge_window)
        seconds = (*windows, m.dispute_window, self.exit_delay)
        penalty = m.stake_ratio * m.wrong_bps
        return {
            "windows, exit delay and stake ratio are in [1, 2^32)": all(
                0 < value < 1 << 32 for value in (*seconds, m.stake_ratio)
            ),
            "the seed delay is in [1, 2^16)": 0 < m.seed_delay < 1 << 16,
            "the epoch length is positive": self.epoch_length > 0,
            "0 <= silentBps < wrongBps <= 10000": 0 <= m.silent_bps < m.wrong_bps <= BPS,
            "0 < faultBps <= 10000": 0 < m.fault_bps <= BPS,
            "demand deposit and proving fee are in [0, 2^96)": all(
                0 <= value < 1 << 96 for value in (m.demand_deposit, m.proving_fee)
            ),
            "the gas of a proof is in [0, 2^32), the highest base fee in [0, 2^64)": 0 <= m.proof_gas < 1 << 32
            and 0 <= m.max_base_fee < 1 << 64,
            "the minimum stake is at least 1 gwei": self.minimum_stake >= GWEI,
            "the delay of rates is a day to ten years": DAY <= self.rate_delay <= 10 * YEAR,
            "attestation period, prompt lifetime, workers per machine and lock period are in [1, 2^32)": all(
                0 < value < 1 << 32 for value in astuple(limits)
            ),
            "half a prompt key's life outlasts the commit windows of a job": limits.prompt_lifetime // 2
            >= m.life - m.reveal_window,
            "half an attestation's life outlasts a job": limits.attestation_period // 2 >= m.deliver_window + m.life,
            "the exit delay exceeds the longest life of a job": self.exit_delay > m.deliver_window + m.longest,
            "three lock periods hold the longest dispute, and one a job": 3 * limits.lock_period >= m.longest
            and limits.lock_period >= m.life,
            "a dispute window holds a referee's job": m.dispute_window >= m.deliver_window + m.life,
            "checkBps x stakeRatio x wrongBps > 10000^2 (ECON-1)": m.check_bps <= BPS
            and m.check_bps * penalty > BPS * BPS,
            "stakeRatio x wrongBps >= 5 x 10000 (ECON-2)": penalty >= 5 * BPS,
            "faultBps is worth the stake that a request can keep locked (ECON-3)": m.fault_bps * YEAR
            >= m.stake_ratio * m.longest * 2_000,
        }


@dataclass(frozen=True, slots=True)
class Deployment:
    """Where one market and its registries live. `block` is the first that can hold one of their logs.

    `verifier` is the number of the verifier that this deployment vouches for; None when it names none. Anybody can list
    verifiers, good ones and bad.
    """

    chain_id: int
    node_registry: Address
    model_registry: Address
    job_market: Address
    block: int
    verifier: int | None = None

    def to_json(self) -> str:
        """The deployment file's text."""
        content = {name: getattr(self, attribute) for name, attribute in _JSON_NAMES.items()}
        if self.verifier is not None:
            content[_VERIFIER] = self.verifier
        return json.dumps(content, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Deployment:
        """Reads `to_json`'s text. Raises InvalidInput when it is anything else."""
        try:
            content = json.loads(text)
            values = {attribute: content[name] for name, attribute in _JSON_NAMES.items()}
            values[_VERIFIER] = content.get(_VERIFIER)
        except (ValueError, KeyError, TypeError) as exc:
            raise InvalidInput(f"This is no deployment file: {exc!r}.", _FILE) from exc
        for name in ("chain_id", "block"):
            if type(values[name]) is not int or values[name] < 0:
                raise InvalidInput(f"{name} of the deployment file is {values[name]!r}, no number.", _FILE)
        if values[_VERIFIER] is not None and (type(values[_VERIFIER]) is not int or values[_VERIFIER] < 1):
            raise InvalidInput(f"verifier of the deployment file is {values[_VERIFIER]!r}, no number from 1 on.", _FILE)
        for name in ("node_registry", "model_registry", "job_market"):
            if not isinstance(values[name], str) or not is_address(values[name]):
                raise InvalidInput(f"{name} of the deployment file is {values[name]!r}, no address.", _FILE)
            values[name] = to_checksum_address(values[name])
        return cls(**values)

    def save(self, path: Path) -> None:
        """Writes the file as a whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        partial.write_text(self.to_json(), "utf-8")
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> Deployment:
        """Reads a file. Raises InvalidInput when it is missing or no deployment file."""
        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as exc:
            raise InvalidInput(f"The deployment file {path} cannot be read: {exc}.", _FILE) from exc
        return cls.from_json(text)


_JSON_NAMES = {
    "chainId": "chain_id",
    "nodeRegistry": "node_registry",
    "modelRegistry": "model_registry",
    "jobMarket": "job_market",
    "block": "block",
}
_VERIFIER = "verifier"
_FILE = f"It is JSON with {', '.join(_JSON_NAMES)}, as `cloister deploy` writes it."


def verify(w3: Web3, deployment: Deployment, parameters: DeployParameters | None = None) -> None:
    """Checks that a deployment's contracts exist, name each other, agree, and have `parameters` if these are given.

    Raises WrongChain on another chain, DeploymentFailed when anything else is wrong. It does not compare the
    code: whoever names the deployment file vouches for the contracts.
    """
    with translated():
        if (chain_id := w3.eth.chain_id) != deployment.chain_id:
            raise WrongChain(
                f"The endpoint serves chain {chain_id}, the deployment is on chain {deployment.chain_id}.",
                "Set rpc_url to an endpoint of the deployment's chain, or name another deployment file.",
            )
        nodes = _functions(w3, "NodeRegistry", deployment.node_registry)
        models = _functions(w3, "ModelRegistry", deployment.model_registry)
        own = _functions(w3, "JobMarket", deployment.job_market)
        parts = {
            "dispute part": _functions(w3, "Disputes", own.disputes().call()),
            "upkeep part": _functions(w3, "Upkeep", own.upkeep().call()),
        }
        currencies = _functions(w3, "Currencies", rates := own.currencies().call())
        market = _functions(w3, "IJobMarket", deployment.job_market)
        settings = tuple(market.parameters().call())
        fixed = deployment.node_registry, deployment.model_registry, rates, settings
        expected = keccak(encode(["address", "address", "address", _PARAMETERS], fixed))
        found: dict[str, Any] = {
            "the market's node registry": (own.nodes().call(), deployment.node_registry),
            "the market's model registry": (own.models().call(), deployment.model_registry),
            "the market's list of verifiers": (own.verifiers().call(), models.verifiers().call()),
            "the node registry's market": (nodes.market().call(), deployment.job_market),
            "the node registry's model registry": (nodes.models().call(), deployment.model_registry),
            "the hash of the market's settings": (own.settings().call(), expected),
        }
        found |= {f"the hash of its {name}'s settings": (it.settings().call(), expected) for name, it in parts.items()}
        verifiers = _functions(w3, "ProofVerifiers", models.verifiers().call())
        listed = verifiers.count().call()
        if parameters is not None:
            found |= {
                "the market's parameters": (settings, astuple(parameters.market)),
                "the epoch length": (nodes.epochLength().call(), parameters.epoch_length),
                "the exit delay": (nodes.exitDelay().call(), parameters.exit_delay),
                "the minimum stake": (nodes.minimumStake().call(), parameters.minimum_stake),
                "the limits of attestations": (tuple(nodes.limits().call()), astuple(parameters.limits)),
                "the delay of rates": (currencies.delay().call(), parameters.rate_delay),
            }
    for what, (actual, wanted) in found.items():
        if actual != wanted:
            raise DeploymentFailed(f"On chain, {what} is {_text(actual)}, not {_text(wanted)}.", _ANOTHER)
    if deployment.verifier is not None and deployment.verifier > listed:
        raise DeploymentFailed(f"There is no verifier {deployment.verifier}; {listed} are listed.", _ANOTHER)


def _functions(w3: Web3, name: str, address: str) -> Any:
    """A contract's functions, to ask it what it says. Raises DeploymentFailed where there is no code."""
    if not w3.eth.get_code(cast(Any, address)):
        raise DeploymentFailed(f"There is no code at {address}, the {name}'s address.", _ANOTHER)
    return w3.eth.contract(cast(Any, address), abi=artifact(name).abi).functions


def _text(value: Any) -> str:
    return "0x" + value.hex() if isinstance(value, bytes) else str(value)


_PARAMETERS = (
    "(uint16,uint32,uint32,uint32,uint32,uint32,uint32,uint32,uint16,uint16,uint16,uint16,uint96,uint32,uint64,uint96)"
)
_ANOTHER = "Name the right deployment file, or deploy again."
