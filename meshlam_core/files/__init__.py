"""Pictures in, results out: photos and clips, PNG, and files that are written whole or not at all."""
