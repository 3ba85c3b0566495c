"""Everything that goes over HTTP: polite, bounded, and never to a private address unless it is told so."""
