"""The ingest ledger, quarantine, correction rules and exports."""
