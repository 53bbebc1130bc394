"""Requests as traces of OpenTelemetry, where somebody collects them; never what was asked."""
