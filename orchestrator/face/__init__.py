"""A face for programs written for nFactorial: the same class, configurations and words, on goals and nodes of agents."""
