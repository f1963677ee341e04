"""The stages, built from the settings and run until they are drained."""
