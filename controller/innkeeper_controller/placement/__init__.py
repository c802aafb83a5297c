"""From records to scheduling and back: who waits, who is placed, moved, planned, and told why."""
