"""What is told: why a VM waits, what would help, and what would happen."""
