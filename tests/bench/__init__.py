"""Measurements for whoever works on edge-serve: beside bare engines and other servers, on a GPU."""
