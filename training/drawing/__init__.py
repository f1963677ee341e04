"""Training pictures: designs, defects drawn on them, and how a camera would see them."""
