"""The report's charts as inline SVG; colours come from the page's style by class, so they follow light and dark."""
