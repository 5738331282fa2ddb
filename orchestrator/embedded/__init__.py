"""One machine, nothing to install: a Valkey server of our own and the supervisor that runs it with workers and beat.

`stack.Stack` starts everything below this process; `records.running` finds the stack of a data directory.
"""
