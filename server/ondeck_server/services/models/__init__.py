"""ondeck.v1.ModelService: list, load, unload, and change aliases."""
