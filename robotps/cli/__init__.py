"""The command line: one short module a verb; the only room that knows all the others."""
