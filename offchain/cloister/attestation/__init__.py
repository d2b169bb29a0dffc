"""Evidence about enclaves: what it says, who makes it, and what proves it."""
