"""What is kept beside the records and follows every change of them, so that nobody has to look at all."""
