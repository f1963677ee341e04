"""Every setting: its section, how it is read and checked, what may change live."""
