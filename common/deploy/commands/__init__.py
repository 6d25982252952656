"""``python -m common train | predict | embed | explain``: models on a command line.

Exit code 0: all files; 3: some were left out, see skipped.csv; 1: an error, in one line.
"""
