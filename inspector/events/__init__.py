"""What is published: schemas, wording, the reference consumer."""
