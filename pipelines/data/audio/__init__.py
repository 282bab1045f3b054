"""Sound before it is inputs: read, resampled, stored, turned into spectrograms."""
