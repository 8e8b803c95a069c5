"""An HTTP server on the engine, for people and programs: requests gathered into batches, reload, metrics, limits.

May be imported by `cli` alone. May import `tracking`, `inference` and the ground; no Spark and no torch.
"""
