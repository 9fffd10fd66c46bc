"""Searches side by side: the same trials, robots and noise for each; what they recommend is run again without noise."""
