"""Fuzzing of every file format that lerf reads: kinds of inputs, mutations, workers that may be killed, an oracle."""
