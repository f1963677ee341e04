"""Reviews of people: what holds of a unit after them, and how often the station is wrong."""
