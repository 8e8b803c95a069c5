"""The commands, a module each, callable from Python and from the command line.

A command is a function with named arguments and a result, e.g. `score(spark, model=..., input=..., output=...) -> ScoreResult`.
Its module's docstring is its help, `parser()` gives its flags, `run(spark, options)` hands them to the function.
"""
