"""Files of datasets: find them, read them as one frame, watch and hash them, and locate faults in them."""
