"""The command line: one file a command. Shows, never decides."""
