"""hippo."""
