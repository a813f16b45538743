"""What would fly on board: vehicle, reference, control law, cancellation, certificate, log."""
