"""One function per experiment the paper trains, at the paper's scale; `sweeps.scales` makes it smaller."""
