"""What the board keeps across a power cut: slots, trust file, lifecycle, staged pushes, audit log."""
