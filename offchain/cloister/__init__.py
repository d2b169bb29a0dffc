"""Cloister: AI inference on machines that nobody has to trust."""
