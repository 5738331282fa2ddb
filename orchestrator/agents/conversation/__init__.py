"""What a model is told and what follows from its answer. Pure: no I/O, no clock."""
