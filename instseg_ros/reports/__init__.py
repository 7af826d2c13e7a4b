"""Pages about results: what one run found, and how two runs differ."""
