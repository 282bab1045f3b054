"""Images before they are inputs: read, cropped, resized, augmented."""
