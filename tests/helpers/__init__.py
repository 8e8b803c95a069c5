"""What several tests use: texts, sessions of every kind, a served model."""
