"""Where the contracts are: a file that a deployment writes, and settings that override it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cloister.config.errors import ConfigError
from cloister.config.settings import ContractAddress, Settings
from cloister.domain.ids import Address

MAX_FILE_BYTES: Final = 64 << 10


@dataclass(frozen=True, slots=True)
class Deployment:
    """One set of contracts on one chain.

    `chain_id` is None if nothing states it; `deployed_at` is the block from which logs are of interest.
    """

    chain_id: int | None
    node_registry: Address
    model_registry: Address
    job_market: Address
    deployed_at: int = 0

    def to_json(self) -> str:
        """Return the text of the file that `read_deployment` reads."""
        values = {
            "chainId": self.chain_id,
            "nodeRegistry": self.node_registry,
            "modelRegistry": self.model_registry,
            "jobMarket": self.job_market,
            "deployedAt": self.deployed_at,
        }
        return json.dumps(values, indent=2) + "\n"


class _File(BaseModel):
    """The keys of a deployment file. Others may stand beside them."""

    model_config = ConfigDict(frozen=True)

    chain_id: int = Field(alias="chainId", gt=0, strict=True)
    node_registry: ContractAddress = Field(alias="nodeRegistry")
    model_registry: ContractAddress = Field(alias="modelRegistry")
    job_market: ContractAddress = Field(alias="jobMarket")
    deployed_at: int = Field(0, alias="deployedAt", ge=0, strict=True)


def read_deployment(settings: Settings) -> Deployment:
    """Return the contracts that `settings` name: the deployment file, with the addresses set beside it.

    The file is not needed if all three addresses are set.
    Raises ConfigError if an address is missing, the file is malformed, or it is for another chain than
    `chain_id`.
    """
    file = _read(settings.deployment) if settings.deployment is not None else None
    if file is not None and settings.chain_id not in (None, file.chain_id):
        raise ConfigError(
            f"chain_id is {settings.chain_id}, but {settings.deployment} is for chain {file.chain_id}.",
            "Change one of them.",
        )
    return Deployment(
        chain_id=settings.chain_id if file is None else file.chain_id,
        node_registry=_address("node_registry", settings, file),
        model_registry=_address("model_registry", settings, file),
        job_market=_address("job_market", settings, file),
        deployed_at=0 if file is None else file.deployed_at,
    )


def _address(name: str, settings: Settings, file: _File | None) -> Address:
    address: Address | None = getattr(settings, name) or getattr(file, name, None)
    if address is None:
        raise ConfigError(f"The address of {name} is not known.", f"Set deployment, or {name}.")
    return address


def _read(path: Path) -> _File:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"The deployment file {path} cannot be read: {error.strerror}.") from None
    try:
        content: Any = json.loads(data) if len(data) <= MAX_FILE_BYTES else None
        return _File.model_validate(content)
    except ValidationError as error:
        keys = {str(problem["loc"][0]) if problem["loc"] else "" for problem in error.errors()} - {""}
        wrong = f": {', '.join(sorted(keys))} missing or malformed" if keys else ""
        raise ConfigError(f"{path} is not a deployment file{wrong}.") from None
    except (ValueError, RecursionError):
        raise ConfigError(f"{path} is not a deployment file: it is not JSON.") from None
