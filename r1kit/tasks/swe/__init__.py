"""Software engineering, a stated limit: a small repository, tests that fail, and edits as the answer."""
