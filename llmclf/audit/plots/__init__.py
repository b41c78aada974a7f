"""The report's plots, one a file: what one shows is a small dataclass, and its function draws it as an SVG.

Each is drawn in a normal and in a small size, for many on one page. Colours and fonts are the page's: `report.css`.
"""
