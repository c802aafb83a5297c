"""What a fleet would make of a trace: the scheduler's own core under a virtual clock, with no controller."""
