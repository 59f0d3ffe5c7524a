"""The web service: REST, sessions that keep state, and the page."""
