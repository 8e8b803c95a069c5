"""What the jobs do, from their flags to their results; the scripts in `jobs/` are their command lines."""
