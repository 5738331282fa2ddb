"""Commands: one model, one service, several doors; who may; what was done, by whom."""
