"""What the generator is for. Exactly one task is on; `generate` is the default."""
