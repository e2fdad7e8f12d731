"""Shapley attributions of a prediction to the fields of its instance."""
