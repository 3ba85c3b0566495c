"""MXNet's RecordIO piece by piece: framing, index, reading, writing, finding damage and salvaging."""
