"""What the supervisor starts and ends: processes, what they leave, the cgroups they live in."""
