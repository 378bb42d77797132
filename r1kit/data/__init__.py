"""Rows of a user's data: files and data sets of any common form, read one by one, and what their columns mean."""
