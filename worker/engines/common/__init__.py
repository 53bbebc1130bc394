"""What several engines need of checkpoints and libraries."""
