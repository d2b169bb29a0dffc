"""Chains for development: anvil, or py-evm where no Node.js is wanted, with funded accounts everybody knows."""
