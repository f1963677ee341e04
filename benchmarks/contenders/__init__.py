"""Other ways to put Python in front of Triton, each in a process of its own."""
