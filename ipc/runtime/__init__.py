"""What every process of edge-serve needs to live: its parent, its log, its streams."""
