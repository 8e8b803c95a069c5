"""A registered version on an endpoint of Databricks Model Serving: built beside the old one, smoke tested, given the traffic.

Imported by `cli` alone; imports `tracking` and what is below. MLflow's client of deployments makes the calls.
"""
