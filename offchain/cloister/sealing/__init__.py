"""Keys, envelopes and sealed messages: the bytes of docs/spec/commitments.md."""
