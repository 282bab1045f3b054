"""One file per search: `sweep(scale) -> Search`, a space around a base experiment."""
