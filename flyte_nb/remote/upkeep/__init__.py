"""What a store keeps, as commands show, move and delete it: runs, cached results, environments of images."""
