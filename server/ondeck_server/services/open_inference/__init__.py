"""inference.GRPCInferenceService: the Open Inference Protocol, as Triton serves it."""
