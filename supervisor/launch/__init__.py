"""From the settings and the catalog to the daemon: each model becomes a `Candidate` that gains
facts stage by stage, and those that get through are written into the plan."""
