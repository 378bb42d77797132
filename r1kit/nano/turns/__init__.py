"""The nano world's second questions: what is asked of Countdown once it was answered, and means nothing alone."""
