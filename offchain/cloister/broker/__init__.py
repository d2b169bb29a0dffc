"""A key broker: holds one share of a sealed model's key, and gives it to attested enclaves that may have it.

`service` decides, `web` speaks HTTP, `store` is what lies on disk.
"""
