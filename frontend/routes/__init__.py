"""The routes: each file is one part of the API, from a request to its answer."""
