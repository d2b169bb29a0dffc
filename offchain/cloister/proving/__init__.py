"""Zero-knowledge proofs of inference: docs/spec/proofs.md.

model = commit_model(load_package(Path("models/digits")))
job = prove_job(model, rows, context, secret)
statement = verify(job.proof, context)          # raises InvalidProof
unmask(model.circuit, len(rows), job.masked, secret)
"""

from cloister.proving.circuit import Circuit
from cloister.proving.errors import InvalidCircuit, InvalidProof, NotProvable
from cloister.proving.inference import ProvedInference, prove_inference
from cloister.proving.jobs import JobProof, commit_input, commit_pad, mask, prove_job, prove_weights, unmask
from cloister.proving.layout import circuit_of
from cloister.proving.model import CommittedModel, commit_model, with_circuit
from cloister.proving.statement import Kind, Statement, Values
from cloister.proving.verifier import verify

__all__ = [
    "Circuit",
    "CommittedModel",
    "InvalidCircuit",
    "InvalidProof",
    "JobProof",
    "Kind",
    "NotProvable",
    "ProvedInference",
    "Statement",
    "Values",
    "circuit_of",
    "commit_input",
    "commit_model",
    "commit_pad",
    "mask",
    "prove_inference",
    "prove_job",
    "prove_weights",
    "unmask",
    "verify",
    "with_circuit",
]
