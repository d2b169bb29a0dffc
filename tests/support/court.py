"""What tests of the quote verifier do again and again."""

import pytest

from cloister.attestation.collateral import RevocationList as OnChainList
from cloister.attestation.collateral import root_id, transcribe
from cloister.chain.errors import ContractError


def refused(action, name):
    """The action reverts with the custom error of that name."""
    with pytest.raises(ContractError) as refusal:
        action()
    assert refusal.value.name == name, refusal.value
    return refusal.value


def root(vendor):
    """Id of the vendor's root."""
    return root_id(vendor.root)


def post(court, vendor, *, tcb=True, qe=True):
    """The steward posts the vendor's documents."""
    known = transcribe(vendor.collateral())
    if tcb:
        court.send(court.quotes.post_tcb(known.tcb, known.tcb_signed))
    if qe:
        court.send(court.quotes.post_qe_identity(known.qe, known.qe_signed))


def listed(court, der, issuer, most=500):
    """The contract reads a revocation list that need not be one."""
    court.send(court.quotes.add_revocations(OnChainList(der, issuer, issued=0, entries=0), most))
