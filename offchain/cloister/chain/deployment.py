"""A deployment: its parameters, the file that names its addresses, and the check that it is what it says."""

from __future__ import annotations

import json
import os
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any, cast

from eth_utils.address import is_address, to_checksum_address
from web3 import Web3

from ..chain.artifacts import artifact
from ..chain.errors import WrongChain, translated
from ..chain.market import Parameters
from ..chain.nodes import Limits
from ..domain.errors import CloisterError, InvalidInput
from ..domain.ids import Address

ETHER = 10**18


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
    * 30 minutes to deliver: requesters wait until the seed block is safe (JOB-9), which takes up to 13 minutes on
      Ethereum;
    * stake ratio 20: a worker that answers wrongly loses 10 prices, more than it can be paid in a committee;
    * silence costs a tenth of the lock, a wrong or hidden output half of it: a worker that fails is not
      ruined, and staying silent is always cheaper than lying;
    * fault 10% of the escrow: who requests draws and delivers only those it likes pays for the others;
    * demand deposit 0.01 ether: pays for 64 KiB of calldata (2.7M gas) up to 3.7 gwei per gas;
    * epochs of 1,800 blocks, 6 hours at 12 seconds, 1 hour at 2: longer than seed delay and deliver window
      together, so that a job's stakes are remembered until its deadline (DRAW-2);
    * exit delay 1 day, 20 times the longest life of a job (NODE-4);
    * minimum stake 1 ether: filling the stake tree with idle workers is dear;
    * attestations of 7 days: a platform that its vendor finds wanting is out after a week at most, and at once when it
      is revoked; a renewal costs about as much gas as a job;
    * prompt keys of an hour: who steals one can open the inputs of an hour (PROMPT-2). It is more than twice what a job
      needs of it, so that a key is always at hand;
    * 4 workers per machine: one owner of one machine is not a crowd.
    """

    market: Parameters = field(
        default_factory=lambda: Parameters(
            seed_delay=4,
            deliver_window=1_800,
            commit_window=600,
            reveal_window=600,
            publish_window=600,
            stake_ratio=20,
            silent_bps=1_000,
            wrong_bps=5_000,
            fault_bps=1_000,
            demand_deposit=ETHER // 100,
        )
    )
    epoch_length: int = 1_800
    """Blocks."""
    exit_delay: int = 86_400
    """Seconds."""
    minimum_stake: int = ETHER
    """Wei."""
    limits: Limits = field(default_factory=lambda: Limits(7 * 86_400, 3_600, 4))

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
                stake_ratio=20,
                silent_bps=1_000,
                wrong_bps=5_000,
                fault_bps=1_000,
                demand_deposit=ETHER // 100,
            ),
            epoch_length=64,
            exit_delay=600,
            minimum_stake=ETHER,
            limits=Limits(attestation_period=3_600, prompt_lifetime=600, identities_per_platform=4),
        )

    def __post_init__(self) -> None:
        m = self.market
        seconds = (m.deliver_window, m.commit_window, m.reveal_window, m.publish_window, self.exit_delay)
        longest_life = m.deliver_window + 2 * m.commit_window + m.publish_window + m.reveal_window
        rules = {
            "windows, exit delay and stake ratio are in [1, 2^32)": all(
                0 < value < 1 << 32 for value in (*seconds, m.stake_ratio)
            ),
            "the seed delay is in [1, 2^16)": 0 < m.seed_delay < 1 << 16,
            "the epoch length is positive": self.epoch_length > 0,
            "0 <= silentBps < wrongBps <= 10000": 0 <= m.silent_bps < m.wrong_bps <= 10_000,
            "0 < faultBps <= 10000": 0 < m.fault_bps <= 10_000,
            "the demand deposit is in [0, 2^96)": 0 <= m.demand_deposit < 1 << 96,
            "the minimum stake is at least 1 gwei": self.minimum_stake >= 10**9,
            "attestation period, prompt lifetime and workers per machine are in [1, 2^32)": all(
                0 < value < 1 << 32 for value in astuple(self.limits)
            ),
            "half a prompt key's life outlasts the commit windows of a job": self.limits.prompt_lifetime // 2
            >= 2 * m.commit_window + m.publish_window,
            "half an attestation's life outlasts a job": self.limits.attestation_period // 2 >= longest_life,
            "the exit delay exceeds the longest life of a job": self.exit_delay > longest_life,
        }
        if broken := [rule for rule, holds in rules.items() if not holds]:
            raise InvalidInput(f"These parameters break rules of the contracts: {'; '.join(broken)}.")


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
    """Checks that a deployment's contracts exist, name each other, and have `parameters` if these are given.

    Raises WrongChain on another chain, DeploymentFailed when anything else is wrong. It does not compare the
    code: whoever names the deployment file vouches for the contracts.
    """
    addresses = {
        "NodeRegistry": deployment.node_registry,
        "ModelRegistry": deployment.model_registry,
        "JobMarket": deployment.job_market,
    }
    with translated():
        if (chain_id := w3.eth.chain_id) != deployment.chain_id:
            raise WrongChain(
                f"The endpoint serves chain {chain_id}, the deployment is on chain {deployment.chain_id}.",
                "Set rpc_url to an endpoint of the deployment's chain, or name another deployment file.",
            )
        for name, address in addresses.items():
            if not w3.eth.get_code(cast(Any, address)):
                raise DeploymentFailed(f"There is no code at {address}, the {name}'s address.", _ANOTHER)
        nodes, models, market = (
            w3.eth.contract(cast(Any, addresses[name]), abi=artifact(name).abi).functions
            for name in ("NodeRegistry", "ModelRegistry", "JobMarket")
        )
        found: dict[str, Any] = {
            "the market's node registry": (market.nodes().call(), deployment.node_registry),
            "the market's model registry": (market.models().call(), deployment.model_registry),
            "the node registry's market": (nodes.market().call(), deployment.job_market),
            "the node registry's model registry": (nodes.models().call(), deployment.model_registry),
        }
        verifiers = w3.eth.contract(models.verifiers().call(), abi=artifact("ProofVerifiers").abi).functions
        listed = verifiers.count().call()
        if parameters is not None:
            found |= {
                "the market's parameters": (tuple(market.parameters().call()), astuple(parameters.market)),
                "the epoch length": (nodes.epochLength().call(), parameters.epoch_length),
                "the exit delay": (nodes.exitDelay().call(), parameters.exit_delay),
                "the minimum stake": (nodes.minimumStake().call(), parameters.minimum_stake),
                "the limits of attestations": (tuple(nodes.limits().call()), astuple(parameters.limits)),
            }
    for what, (actual, expected) in found.items():
        if actual != expected:
            raise DeploymentFailed(f"On chain, {what} is {actual}, not {expected}.", _ANOTHER)
    if deployment.verifier is not None and deployment.verifier > listed:
        raise DeploymentFailed(f"There is no verifier {deployment.verifier}; {listed} are listed.", _ANOTHER)


_ANOTHER = "Name the right deployment file, or deploy again."
