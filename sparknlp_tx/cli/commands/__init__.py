"""The commands, a module each: its docstring is its help, `parser()` gives its flags, `run(spark, options)` does the work."""
