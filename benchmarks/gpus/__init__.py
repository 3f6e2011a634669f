"""The parts of gpu.py: what a GPU can do at most, the scans that are compared, and how far each is from float64."""
