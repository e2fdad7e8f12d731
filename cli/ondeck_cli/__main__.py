"""`python -m ondeck_cli` is `ondeck`."""

from ondeck_cli.main import main

if __name__ == "__main__":
    main()
