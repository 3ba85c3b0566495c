"""Floor 4: the linear probe: a dataset's embeddings by a frozen backbone, remembered, and a head fitted to them."""
