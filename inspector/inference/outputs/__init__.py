"""How a model answers: a file for each kind of answer, and the list of them in `registry`."""
