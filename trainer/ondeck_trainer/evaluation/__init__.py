"""Evaluation on later days: metrics, baselines, intervals, slices, drift."""
