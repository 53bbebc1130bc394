"""Unit tests of supervisor.cluster."""
