"""`python -m ondeck_server.worker FD METRICS` runs a worker at the end FD of the socket pair with the supervisor."""

import sys

sys.modules.setdefault("rich", None)  # type: ignore[arg-type]  # None: structlog does without it, which saves 3 MB

from ondeck_server.worker.main import main  # noqa: E402  after the line above

if __name__ == "__main__":
    main()
