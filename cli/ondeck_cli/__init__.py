"""The `ondeck` command: one subcommand per task of an operator."""
