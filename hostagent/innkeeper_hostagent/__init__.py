"""The agent on every host, and the protocol that it and the controller speak."""
