"""From the journal to where others read: delivery, pace, recovery."""
