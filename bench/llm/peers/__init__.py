"""Clients of a provider with a quota, Chordal's and others'. Peers run in environments of their own, without Chordal."""
