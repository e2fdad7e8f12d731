"""One unit from request to stored rows: fetch, archive, parse, check, store, record."""
