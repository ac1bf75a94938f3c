"""The model library of the built-in engine: models on disk, and where they come from."""
