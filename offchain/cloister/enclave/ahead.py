"""`python -m cloister.enclave.ahead`: leaves behind, compiled, all that an enclave loads (`launcher.compile_ahead`)."""

from __future__ import annotations

from cloister.enclave import imports


def main() -> None:
    """Load and run what an enclave does before it is closed. Python and numba write their caches meanwhile."""
    imports.from_sources_only()
    from cloister.enclave import process, warmup  # noqa: F401, PLC0415  not before the line above

    warmup.warm_up()


if __name__ == "__main__":
    main()
