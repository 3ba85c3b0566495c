"""Floor 0: the values, protocols and errors that every other floor speaks in. No I/O, no imports from Milliner."""
