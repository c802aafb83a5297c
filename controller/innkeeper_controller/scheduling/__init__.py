"""Which host a VM goes to, and why: from a snapshot to decisions; nothing here changes a record or reads a clock."""
