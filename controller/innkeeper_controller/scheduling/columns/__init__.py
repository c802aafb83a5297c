"""The hosts as columns of numbers, what is remembered of them, and how clauses and scores see them."""
