"""State that survives a power cut: slots, trust file, lifecycle, staged pushes, audit log."""
