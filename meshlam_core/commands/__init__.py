"""One module for each command of the command line: run(arguments, progress) -> result, show(result) -> text.

The results are plain JSON values. Nothing heavy is imported before a command runs.
"""
