"""Sessions: many jobs by one attested worker for one deposit, paid by receipts that stay off the chain.

`receipts` has what is signed, `merkle` the tree that a settlement commits to, `ledger` what each party keeps on disk,
`answering` the part that sees plaintext, `service` and `web` the worker's side, `client` and `transport` the
requester's, `keeping` what either has to send to the chain, and `composition` puts them together.
docs/spec/sessions.md has the rules SESS-*.
"""
