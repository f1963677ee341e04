"""A data set of the line's own pictures: what people confirmed, corrected and added."""
