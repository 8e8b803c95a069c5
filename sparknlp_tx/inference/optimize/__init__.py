"""A model made faster on CPUs, once, on the driver: exported to OpenVINO, its graph rewritten, quantised."""
