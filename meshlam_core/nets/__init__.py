"""Networks of others that the tracker and the model both stand on."""
