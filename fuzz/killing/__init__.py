"""SIGKILL at random moments of the commands that write."""
