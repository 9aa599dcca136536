"""What a bench reads and switches: power rails, reset."""
