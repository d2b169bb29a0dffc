"""Where evidence about this machine comes from.

A provider gives evidence that binds 64 bytes of the enclave's choice, and what else a verifier needs to judge it.
"""

from cloister.attestation.providers.choice import detect
from cloister.attestation.providers.configfs import ConfigfsProvider
from cloister.attestation.providers.development import DevelopmentProvider
from cloister.attestation.providers.dstack import DstackProvider
from cloister.attestation.providers.nitro import NitroProvider
from cloister.attestation.providers.provider import NoProvider, Provider, ProviderFailed

__all__ = [
    "ConfigfsProvider",
    "DevelopmentProvider",
    "DstackProvider",
    "NitroProvider",
    "NoProvider",
    "Provider",
    "ProviderFailed",
    "detect",
]
