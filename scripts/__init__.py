"""The command line, and nothing but reading options and calling rooms."""
