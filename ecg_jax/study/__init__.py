"""A study of scales: its design, its files, the queue of its trials and the workers that train them. Draws nothing."""
