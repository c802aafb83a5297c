"""The revisions, oldest first by their ``down_revision``; each stands alone and imports nothing of ours."""
