"""The only code that speaks Redis: keys, connection, scripts and the typed operations on them."""
