"""The messages about a result, made alike for the live node and for bags."""
