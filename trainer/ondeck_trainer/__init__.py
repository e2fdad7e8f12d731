"""Training, evaluation and publication of models."""
