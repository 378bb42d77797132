"""An open engine behind OpenAI's addresses: requests in, pieces of text out. Nothing here knows a page."""
