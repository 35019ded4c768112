"""What a reader sees of a study: charts, sentences and the HTML page."""
