"""What `make bench` measures: each module prints the figures that it stands for, RESULTS.md collects them."""
