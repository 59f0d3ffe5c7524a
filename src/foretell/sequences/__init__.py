"""The user's data, read, checked and laid out as sequences; knows no network."""
