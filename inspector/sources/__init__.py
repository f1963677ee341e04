"""Sources of pictures: one module or folder per kind of camera."""
