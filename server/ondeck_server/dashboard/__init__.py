"""The dashboard: a page of the admin port, and the JSON endpoints that it reads."""
