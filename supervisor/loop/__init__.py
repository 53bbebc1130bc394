"""Parts of the supervision loop (`supervisor.supervisor`), each of which keeps one thing."""
