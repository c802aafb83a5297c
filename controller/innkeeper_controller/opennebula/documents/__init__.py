"""OpenNebula's XML documents, made of records: pure functions to text, which decide nothing and check no right."""
