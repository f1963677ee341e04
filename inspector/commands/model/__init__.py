"""`inspector model`: brings a model to the server's repository, and shows what it does."""
