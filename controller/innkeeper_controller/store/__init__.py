"""What is durable: the tables, the one writer, and reads of what memory no longer has; decides nothing."""
