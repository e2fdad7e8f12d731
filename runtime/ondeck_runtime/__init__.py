"""Process plumbing that programs share: settings, logging, signals, tasks, backoff, CPU quota."""
