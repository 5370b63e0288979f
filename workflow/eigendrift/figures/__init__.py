"""The figures: each a function from measured runs to a picture and the numbers in it."""
