"""The nano world's forms: two numbers and the names of what is wanted of them, answered with JSON of a schema."""
