"""The papers' figures, drawn from finished runs or from the architecture; one file a figure.

Every figure is a function that returns plain numbers and a function `draw` that draws them.
"""
