"""The schema's history, a file a revision, carried out by ``store.upgrade``; a released one never changes."""
