"""The doors: a person gets a session by a link on one's own machine, by a login at the org, or in a tab of the org."""
