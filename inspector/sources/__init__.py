"""Where pictures come from: one module or folder per kind of camera."""
