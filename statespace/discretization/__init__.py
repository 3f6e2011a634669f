"""discretization."""
