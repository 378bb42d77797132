"""Code tasks."""
