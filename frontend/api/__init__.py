"""The faces of the API, a folder each: from a request to a job, from events to an answer."""
