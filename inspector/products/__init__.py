"""What a station knows about its products: their files, references and change-overs."""
