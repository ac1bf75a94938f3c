"""What the program needs of the machine: paths, settings file, secrets, log, child processes, profile lock."""
