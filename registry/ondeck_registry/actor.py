"""Who acts."""

import getpass
import os


def login_name() -> str:
    """Tell the login name of whoever runs this program; where the system has none, say so."""
    try:
        return getpass.getuser()
    except (ImportError, KeyError, OSError):
        return f"user {os.getuid()}, without a login name"
