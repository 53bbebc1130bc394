"""Unit tests of worker.cluster, without Ray."""
