"""What each command does; `lab.cli` says which there are. One module per group, imported only when asked for."""
