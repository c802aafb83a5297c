"""What both ends of the wire use: messages, session, keys, bulk transfer; no decision of either end."""
