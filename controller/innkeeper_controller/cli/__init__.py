"""The command line ``inn``; it imports at start only what ``inn --help`` needs."""
