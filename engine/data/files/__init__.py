"""Files of datasets: found, read as one frame, watched and hashed, and the place at fault where one cannot be read."""
