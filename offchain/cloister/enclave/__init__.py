"""The process that alone sees weights, inputs, outputs and keys, and its host's side (docs/spec/enclaves.md).

enclave = launch(context, log=print)
enclave.load(version, owner, manifest, chunks)
answer = enclave.answer(job, ciphertext, open_version=False)
"""
