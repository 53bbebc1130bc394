"""Tests of supervisor.residency."""
