"""Ways to spoil a valid input; all draw from the generator that they are given, so that a seed repeats a case."""
