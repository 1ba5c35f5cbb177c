"""Training: settings, schedule, compiled program, loop, checkpoints, logs."""
