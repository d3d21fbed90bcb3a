"""What is shown of a run, as data for every front end."""
