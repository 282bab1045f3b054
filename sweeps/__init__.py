"""What to run: experiments (points), ablations (lines), searches (spaces), each at a scale."""
