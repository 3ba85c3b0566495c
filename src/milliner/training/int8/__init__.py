"""Static quantisation: a trained model's convolutions in 8-bit integers, calibrated on pictures it was trained on."""
