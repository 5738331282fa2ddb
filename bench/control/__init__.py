"""The benchmark of control: how soon a line in a heartbeat file acts, and what it costs to wait for one."""
