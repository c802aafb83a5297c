"""Who is placed first."""
