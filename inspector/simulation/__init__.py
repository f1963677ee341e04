"""A drawn production line that knows the truth about every board: for tests and demos.

`circuit` lays a product out, `defects` damages it, `board` paints it, `belt` moves it past the
camera. Everything is a function of the options and a number: no clock, no thread, no file.
"""
