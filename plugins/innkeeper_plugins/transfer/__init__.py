"""The built-in transfer drivers."""
