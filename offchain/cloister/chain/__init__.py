"""The chain as the rest of Cloister sees it: contracts, headers, errors and transactions over web3."""
