"""A chain with a verifier that pins the root of a vendor of our own; every test starts from a snapshot of it."""

import pytest
from support.evidence import Court
from support.pki import NOW, Vendor

from cloister.attestation.collateral import transcribe
from cloister.devnet.anvil import start_anvil


@pytest.fixture(scope="module")
def base():
    """A chain at NOW with a verifier that pins the vendor's root as a development root."""
    key = Vendor().root_key.public
    with start_anvil(0, 0, arguments=("--timestamp", str(NOW - 60))) as node:
        yield Court(node, ((key[:32], key[32:], True),))


@pytest.fixture
def court(base):
    snapshot = base.node.control("evm_snapshot")
    yield base
    base.node.control("evm_revert", snapshot)


@pytest.fixture
def settled(court):
    """The court once it knows everything of an honest vendor."""
    vendor = Vendor()
    collateral = transcribe(vendor.collateral())
    court.learn(collateral)
    return court, vendor, court.admit(vendor.quote(), collateral)
