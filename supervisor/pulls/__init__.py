"""Pulls that a running server does for operators: jobs that outlive whoever asked for them."""
