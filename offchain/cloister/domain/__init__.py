"""Ids, jobs, commitments, transitions and errors: pure values, no input or output."""
