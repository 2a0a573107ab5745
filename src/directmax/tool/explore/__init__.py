"""`directmax explore`: a page that holds a run's networks and computes them."""
