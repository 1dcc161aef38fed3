"""One file per flow: take input, call the core, carry out its actions. `serve` and `up` wire the parts."""
