"""The vocabulary, the hook specifications, the driver protocols and the built-in drivers of Innkeeper."""
