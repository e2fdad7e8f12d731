"""What every call has, whatever its transport: context, deadline, errors, metrics."""
