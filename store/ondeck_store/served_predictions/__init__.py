"""Served predictions: a sample of what the server answered, and its daily scores against outcomes."""
