"""Reviews by people: which of them apply to a unit, and how often the station is wrong."""
