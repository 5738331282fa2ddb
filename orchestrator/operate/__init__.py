"""What an operator looks at: is everything well, and why does this goal not go on."""
