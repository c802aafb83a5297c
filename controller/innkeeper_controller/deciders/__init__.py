"""Other schedulers than the built-in one: what they are asked, what they answer, and what is done with it."""
