"""Alerts of the server itself: Prometheus rules, evaluated over the metrics of this machine, sent to a webhook."""
