"""A week of beat in minutes: a clock of its own, goals of every kind that come and go, and what is left of them."""
