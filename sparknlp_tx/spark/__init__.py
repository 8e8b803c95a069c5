"""What is Spark's own: sessions, versions, tables, models sent to executors, training processes started there.

Imported by `data` and above; imports `training` and what is below.
"""
