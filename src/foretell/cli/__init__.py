"""Typed commands, one short function each, over the jobs."""
