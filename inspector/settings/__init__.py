"""Every setting: its section, how it is read and checked, what can be reloaded."""
