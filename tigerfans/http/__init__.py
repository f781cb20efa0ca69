"""The shop over HTTP, by whom it serves: the API, the pages, the office, and the worker itself."""
