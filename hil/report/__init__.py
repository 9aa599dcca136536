"""A run's results as JSON, JUnit XML and one HTML page."""
