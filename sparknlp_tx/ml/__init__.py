"""The Spark ML stages: estimator, model, Params, checks, persistence, summaries. Runs on the driver; loads no torch until it trains.

Imported by `tracking` and `cli`; imports `scoring`, `evaluation` and what is below.
"""
