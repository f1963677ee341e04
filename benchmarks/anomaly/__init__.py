"""How well a model taught from good parts finds the others: methods, features, surfaces."""
