"""What the process does: one folder per controller, and the base they share."""
