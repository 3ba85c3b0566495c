"""Floor 3: the linear probe: a dataset's embeddings by a frozen backbone, remembered, and a head fitted to them."""
