"""One file per ablation: `sweep(scale) -> Ablation`, its cases labelled as the rows of the exhibit that shows
them."""
