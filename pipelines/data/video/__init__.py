"""Video before it is inputs: read, transcoded, cut into clips and patches."""
