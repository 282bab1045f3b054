"""Whether a cluster is well: what each node says of itself, what is wrong with it, and what to do."""

from lab.health.finding import Finding as Finding
from lab.health.finding import Level as Level
