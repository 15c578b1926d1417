"""Pure functions of log-probabilities: nats per token out, no fairseq, no padding, no batches."""
