"""Statistics on plain arrays: distances between sets and the uncertainty of means."""
