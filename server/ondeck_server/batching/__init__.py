"""Dynamic batching: rows of concurrent calls run together, within their deadlines."""
