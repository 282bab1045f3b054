"""ModelNet40 (Wu et al. 2015): 12,311 shapes of 40 classes, as clouds of points."""
