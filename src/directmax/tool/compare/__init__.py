"""Runs side by side: settings that differ, means over seeds, curves. Knows nothing of jobs."""
