"""`inspector check`: what is wrong and what to do."""
