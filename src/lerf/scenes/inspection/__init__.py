"""How good a capture is, looked at before training: photos, how they hang together, and whether poses fit points."""
