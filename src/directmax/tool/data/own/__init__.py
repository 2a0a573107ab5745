"""Data of one's own from a path: a file or a folder in any of the usual forms.

A reader of a form returns `Found`, arrays as they are in the file; `read.py` makes images of them.
"""
