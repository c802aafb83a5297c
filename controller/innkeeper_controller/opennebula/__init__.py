"""OpenNebula's XML-RPC interface in front of the same requests: it translates, and decides nothing."""
