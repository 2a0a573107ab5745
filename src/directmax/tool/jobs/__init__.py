"""`directmax reproduce`: plan the jobs of the paper's items, run them, report.

Imported lazily: the command line does not import torch before it runs.
"""
