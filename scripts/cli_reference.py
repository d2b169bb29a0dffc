"""Rewrite the generated half of docs/cli.md.

python scripts/cli_reference.py
"""

from pathlib import Path

from cloister.cli.reference import BEGIN, reference

PAGE = Path(__file__).resolve().parents[1] / "docs" / "cli.md"


def main() -> None:
    """Keeps what is written by hand."""
    by_hand, begin, _ = PAGE.read_text().partition(BEGIN)
    if not begin:
        raise SystemExit(f"{PAGE} lacks the line {BEGIN}")
    PAGE.write_text(f"{by_hand}{BEGIN}\n\n{reference()}")


if __name__ == "__main__":
    main()
