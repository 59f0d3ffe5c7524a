"""One file per job: from the user's data to predictions, with the same verbs everywhere."""
