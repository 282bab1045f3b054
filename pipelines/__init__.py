"""What goes in and what comes out: data sets, and the tables of the paper."""
