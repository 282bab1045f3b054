"""What each command does; `lab.cli` says which there are. One module per group.

A module is imported only when one of its commands is asked for.
"""
