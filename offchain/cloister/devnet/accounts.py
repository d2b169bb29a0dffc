"""The accounts that every development chain funds. Their keys are public: never send real money there."""

from __future__ import annotations

from functools import cache

from eth_account import Account
from eth_account.signers.local import LocalAccount
from web3 import Web3

from ..chain.errors import WrongChain, translated
from ..domain.errors import InvalidInput

CHAIN_ID = 31337
MNEMONIC = "test test test test test test test test test test test junk"
COUNT = 20
"""Accounts with a balance from the first block on."""
BALANCE = 10_000 * 10**18
"""Wei."""


def account(w3: Web3, index: int) -> LocalAccount:
    """A funded account of the development chain behind `w3`.

    Raises WrongChain on any other chain: there, whatever these accounts receive belongs to everybody.
    """
    with translated():
        chain_id = w3.eth.chain_id
    if chain_id != CHAIN_ID:
        raise WrongChain(
            f"Development accounts exist on chain {CHAIN_ID} only; the endpoint serves chain {chain_id}.",
            "Everybody has their keys. Use an account of your own.",
        )
    return key(index)


@cache
def key(index: int) -> LocalAccount:
    """The key pair alone, for the makers of development chains; everybody else takes `account`.

    Raises InvalidInput unless 0 <= index < COUNT.
    """
    if not 0 <= index < COUNT:
        raise InvalidInput(f"There is no development account {index}.", f"There are 0 to {COUNT - 1}.")
    Account.enable_unaudited_hdwallet_features()
    account: LocalAccount = Account.from_mnemonic(MNEMONIC, account_path=f"m/44'/60'/0'/0/{index}")
    return account
