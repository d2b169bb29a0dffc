"""`cloister credit` and `cloister withdraw`: what the market owes an account."""

from __future__ import annotations

from typing import Annotated

import typer

from cloister.cli.amounts import ether
from cloister.cli.command import command
from cloister.cli.receipts import receipt_document, receipt_line
from cloister.cli.run import Run
from cloister.cli.screen import Output, facts
from cloister.domain.errors import InvalidInput
from cloister.domain.ids import Address

Whose = Annotated[str | None, typer.Argument(metavar="ADDRESS", help="Whose; without it, the configured account's.")]


def add_to(app: typer.Typer) -> None:
    """Adds this module's commands."""
    command(app, "credit", example="cloister credit")(credit)
    command(app, "withdraw", example="cloister withdraw")(withdraw)


def credit(run: Run, whose: Whose = None) -> Output:
    """Show what the market owes an account.

    What the account holds is shown, too.
    """
    account = run.address if whose is None else address_of(whose)
    network = run.network
    owed, held = network.market.credit(account), network.connection.balance(account)
    document = {
        "chain_id": network.connection.chain_id,
        "account": account,
        "credit_wei": str(owed),
        "balance_wei": str(held),
    }
    return Output(document, [facts({"account": account, "credit": ether(owed), "balance": ether(held)})])


def withdraw(run: Run, whose: Whose = None) -> Output:
    """Pay out what the market owes an account.

    It is paid to that account whoever asks: the credit of a running worker can be withdrawn from another account.
    """
    account = run.address if whose is None else address_of(whose)
    chain_id = run.network.connection.chain_id
    owed = run.network.market.credit(account)
    document = {"chain_id": chain_id, "account": account, "withdrawn_wei": str(owed)}
    if owed == 0:
        return Output(document, [f"The market owes {account} nothing."])
    with run.client() as client:
        block = client.connection.head().number
        receipt = client.sender.transact(f"withdraw:{account}:{block}", client.market.withdraw(account))
    return Output(document | receipt_document(receipt), [f"{ether(owed)} paid to {account}.", receipt_line(receipt)])


def address_of(text: str) -> Address:
    """An address with its checksum. Raises InvalidInput."""
    from eth_utils.address import is_address, to_checksum_address

    if not is_address(text) or not text.startswith("0x"):
        raise InvalidInput(f"{text!r} is no address.", "Write 0x and 40 hexadecimal digits; capitals are a checksum.")
    return Address(to_checksum_address(text))
