"""Detectors: one file each, a line each in `registry`. Siblings do not import each other.

Pure: a detector is a function of a `Sight`. It says what it finds, never what to do: that is the judge's. What belongs here: how
an attack, or its benign twin, shows in traffic. What does not: exceptions for somebody (see `detect.guards`).
"""
