"""How long jobs take and wait, estimated from those before them: pure, one `Estimator` a lane."""
