"""The ways to run a batch: torch and OpenVINO, and the choice between them."""
