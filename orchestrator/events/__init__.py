"""The history checker: what must hold of every goal, read off its events and its stored state.

`check` is the way in; `rules` judge the events in one pass, the modules beside them what is stored.
"""
