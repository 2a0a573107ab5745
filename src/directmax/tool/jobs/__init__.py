"""Jobs: plan them, run them, start again what dies. Knows nothing of what a job computes."""
