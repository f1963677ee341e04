"""Where events go: one module per kind."""
