"""Models side by side: quality with its intervals, speed on this machine, size, cost; and trainings on different machines.

Imported by `cli` alone; imports what lies beside it in `lifecycle`, `tracking` and what is below.
"""
