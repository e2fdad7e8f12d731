"""ondeck.v1.PredictionService: unary, batch, streamed and explained predictions."""
