"""What a station knows of its products: their files, references and change-overs."""
